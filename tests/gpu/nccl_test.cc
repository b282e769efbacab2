// The real NCCL on one GPU, a world of one rank: what is declared, loaded and called is right. More
// ranks are tests/unit/worker/comm's, on simulated devices.

#include <gtest/gtest.h>
#include <nccl.h>

#include <numeric>
#include <vector>

#include "tests/gpu/require_gpu.h"
#include "worker/comm/local_reduce.h"
#include "worker/comm/nccl_communicator.h"

namespace drover {
namespace {

using std::chrono::seconds;

// Our declarations are NCCL's.
static_assert(int{ncclSuccess} == kNcclSuccess);
static_assert(int{ncclInvalidArgument} == kNcclInvalidArgument);
static_assert(int{ncclInProgress} == kNcclInProgress);
static_assert(int{ncclInt8} == kNcclInt8);
static_assert(int{ncclInt64} == kNcclInt64);
static_assert(int{ncclSum} == kNcclSum);
static_assert(sizeof(ncclResult_t) == sizeof(NcclResult));
static_assert(sizeof(ncclComm_t) == sizeof(NcclComm));

TEST(NcclTest, TheInstalledLibraryIsOneThatDroverCanUse) {
  Result<NcclApi> nccl = LoadNccl();
  if (nccl.status().code() == Code::kNotFound) GTEST_SKIP() << nccl.status().message();
  ASSERT_TRUE(nccl.ok()) << nccl.status().message();

  int version = 0;
  EXPECT_EQ(nccl.value().GetVersion(&version), kNcclSuccess);
  EXPECT_EQ(version / 10000, 2) << version;
}

TEST(NcclTest, AWorldOfOneReducesAndSpreads) {
  DROVER_REQUIRE_GPU();
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();
  const Layout layout = Layout::Make({{"a", {3 * kBlockElements + 1}, {}}, {"b", {7}, {}}}).value();
  auto communicator = NcclCommunicator::Make(std::move(nccl).value(), {0}).value();
  auto reduce = LocalReduce::Make(LocalSlices(layout, layout.Chunks(layout.all_blocks()), 1),
                                  std::move(communicator), seconds(60))
                    .value();
  std::vector<int64_t> sums(reduce->slices().padded_elements());
  std::iota(sums.begin(), sums.end(), int64_t{-1} << 50);
  const GpuStream& stream = reduce->communicator().stream(0);
  ASSERT_TRUE(CopyToDevice<int64_t>(stream, sums, reduce->sums(0)).ok());

  const Status reduced = reduce->Reduce();

  ASSERT_TRUE(reduced.ok()) << reduced.message();
  for (size_t chunk = 0; chunk < reduce->slices().chunks().size(); ++chunk) {
    const std::span<const int64_t> got = reduce->ChunkSums(chunk);
    const auto begin =
        sums.begin() + static_cast<std::ptrdiff_t>(reduce->slices().PaddedOffset(chunk));
    EXPECT_TRUE(std::equal(got.begin(), got.end(), begin));
  }

  std::vector<std::byte> weights(reduce->span_elements() * 4);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i * 7);
  const DeviceBuffer<std::byte> device = DeviceBuffer<std::byte>::Make(0, weights.size()).value();
  std::byte* const pointer = device.data();
  const Status spread = reduce->Spread(weights, 4, {&pointer, 1});

  ASSERT_TRUE(spread.ok()) << spread.message();
  std::vector<std::byte> back(weights.size());
  ASSERT_TRUE(CopyToHost<std::byte>(stream, pointer, back).ok());
  ASSERT_TRUE(stream.Wait().ok());
  EXPECT_TRUE(back == weights);
}

TEST(NcclTest, AGpuThatIsThereTwiceIsRefusedNotAHang) {
  DROVER_REQUIRE_GPU();
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();

  EXPECT_FALSE(NcclCommunicator::Make(std::move(nccl).value(), {0, 0}).ok());
}

}  // namespace
}  // namespace drover
