// The real NCCL on one GPU, a world of one rank, and on all GPUs where there are more: what is
// declared, loaded and called is right. Many ranks on simulated devices: tests/unit/worker/comm.

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

TEST(NcclTest, AllGpusOfThisHostGiveTheSumsOfAPlainLoop) {
  DROVER_REQUIRE_GPU();
  const int ranks = static_cast<int>(ListGpus().value().size());
  if (ranks < 2) GTEST_SKIP() << "only one GPU here";
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();
  const Layout layout =
      Layout::Make({{"a", {40 * kBlockElements + 1}, {}}, {"b", {7}, {}}}).value();
  std::vector<int> devices(static_cast<size_t>(ranks));
  std::iota(devices.begin(), devices.end(), 0);
  auto communicator = NcclCommunicator::Make(std::move(nccl).value(), devices).value();
  auto reduce = LocalReduce::Make(LocalSlices(layout, layout.Chunks(layout.all_blocks()), ranks),
                                  std::move(communicator), seconds(60))
                    .value();
  const uint64_t elements = reduce->slices().padded_elements();
  std::vector<std::vector<int64_t>> sums(devices.size(), std::vector<int64_t>(elements));
  for (size_t rank = 0; rank < sums.size(); ++rank) {
    for (uint64_t i = 0; i < elements; ++i) {
      sums[rank][i] = static_cast<int64_t>((i + 1) * (rank + 1) * 0x9e3779b97f4a7c15u);
    }
    ASSERT_TRUE(CopyToDevice<int64_t>(reduce->communicator().stream(static_cast<int>(rank)),
                                      sums[rank], reduce->sums(static_cast<int>(rank)))
                    .ok());
  }

  const Status reduced = reduce->Reduce();

  ASSERT_TRUE(reduced.ok()) << reduced.message();
  for (size_t chunk = 0; chunk < reduce->slices().chunks().size(); ++chunk) {
    const std::span<const int64_t> got = reduce->ChunkSums(chunk);
    const uint64_t begin = reduce->slices().PaddedOffset(chunk);
    for (uint64_t i = 0; i < got.size(); ++i) {
      uint64_t sum = 0;
      for (const std::vector<int64_t>& rank : sums) sum += static_cast<uint64_t>(rank[begin + i]);
      ASSERT_EQ(got[i], static_cast<int64_t>(sum)) << "chunk " << chunk << ", element " << i;
    }
  }
}

TEST(NcclTest, AGpuThatIsThereTwiceIsRefusedNotAHang) {
  DROVER_REQUIRE_GPU();
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();

  EXPECT_FALSE(NcclCommunicator::Make(std::move(nccl).value(), {0, 0}).ok());
}

}  // namespace
}  // namespace drover
