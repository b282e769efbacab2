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

TEST(NcclTest, AWorldOfOneReducesAndGathers) {
  DROVER_REQUIRE_GPU();
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();
  const Layout layout = Layout::Make({{"a", {3 * kBlockElements + 1}, {}}, {"b", {7}, {}}}).value();
  auto communicator = NcclCommunicator::Make(std::move(nccl).value(), {0}).value();
  auto reduce = LocalReduce::Make(LocalSlices(layout, layout.Chunks(layout.all_blocks()), 1),
                                  communicator.get(), seconds(60))
                    .value();
  std::vector<int64_t> sums(reduce->slices().padded_elements());
  std::iota(sums.begin(), sums.end(), int64_t{-1} << 50);
  const GpuStream& stream = communicator->stream(0);
  ASSERT_TRUE(CopyToDevice<int64_t>(stream, sums, reduce->sums(0)).ok());

  std::vector<int64_t> space(layout.SpanElements(layout.all_blocks()));

  const Status reduced = reduce->ReduceTo(space.data());

  ASSERT_TRUE(reduced.ok()) << reduced.message();
  EXPECT_TRUE(std::equal(space.begin(), space.end(), sums.begin()));  // One slice is all of it.

  std::vector<std::byte> weights(space.size() * 4);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i * 7);
  const DeviceBuffer<std::byte> device = DeviceBuffer<std::byte>::Make(0, weights.size()).value();
  std::byte* const pointer = device.data();
  ASSERT_TRUE(CopyBytesToDevice(stream, pointer, weights.data(), weights.size()).ok());
  const LocalCommunicator::Part part = {0, weights.size()};
  const Status gathered = communicator->AllGather({&pointer, 1}, {&part, 1});

  ASSERT_TRUE(gathered.ok()) << gathered.message();
  ASSERT_TRUE(communicator->Wait(seconds(60)).ok());
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
                                  communicator.get(), seconds(60))
                    .value();
  const uint64_t elements = reduce->slices().padded_elements();
  std::vector<std::vector<int64_t>> sums(devices.size(), std::vector<int64_t>(elements));
  for (size_t rank = 0; rank < sums.size(); ++rank) {
    for (uint64_t i = 0; i < elements; ++i) {
      sums[rank][i] = static_cast<int64_t>((i + 1) * (rank + 1) * 0x9e3779b97f4a7c15u);
    }
    ASSERT_TRUE(CopyToDevice<int64_t>(communicator->stream(static_cast<int>(rank)), sums[rank],
                                      reduce->sums(static_cast<int>(rank)))
                    .ok());
  }

  std::vector<int64_t> space(layout.SpanElements(layout.all_blocks()));
  const Status reduced = reduce->ReduceTo(space.data());

  ASSERT_TRUE(reduced.ok()) << reduced.message();
  for (size_t chunk = 0; chunk < reduce->slices().chunks().size(); ++chunk) {
    const int64_t* const got = space.data() + layout.SpanOffset(reduce->slices().chunks()[chunk]);
    const uint64_t begin = reduce->slices().PaddedOffset(chunk);
    for (uint64_t i = 0; i < reduce->slices().ChunkElements(chunk); ++i) {
      uint64_t sum = 0;
      for (const std::vector<int64_t>& rank : sums) sum += static_cast<uint64_t>(rank[begin + i]);
      ASSERT_EQ(got[i], static_cast<int64_t>(sum)) << "chunk " << chunk << ", element " << i;
    }
  }
}

TEST(NcclTest, AllGpusOfThisHostGetWhatEachHas) {
  DROVER_REQUIRE_GPU();
  const int ranks = static_cast<int>(ListGpus().value().size());
  if (ranks < 2) GTEST_SKIP() << "only one GPU here";
  Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status().message();
  constexpr size_t kBytesOfRank = 1 << 20;
  std::vector<int> devices(static_cast<size_t>(ranks));
  std::iota(devices.begin(), devices.end(), 0);
  auto communicator = NcclCommunicator::Make(std::move(nccl).value(), devices).value();
  std::vector<std::byte> weights(kBytesOfRank * devices.size());
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i * 131 >> 3);
  std::vector<DeviceBuffer<std::byte>> buffers;
  std::vector<std::byte*> pointers;
  std::vector<LocalCommunicator::Part> parts;
  for (size_t rank = 0; rank < devices.size(); ++rank) {
    buffers.push_back(DeviceBuffer<std::byte>::Make(devices[rank], weights.size()).value());
    pointers.push_back(buffers.back().data());
    parts.push_back({rank * kBytesOfRank, kBytesOfRank});
    ASSERT_TRUE(CopyBytesToDevice(communicator->stream(devices[rank]),
                                  pointers[rank] + parts[rank].offset,
                                  weights.data() + parts[rank].offset, kBytesOfRank)
                    .ok());
  }

  ASSERT_TRUE(communicator->AllGather(pointers, parts).ok());
  ASSERT_TRUE(communicator->Wait(seconds(60)).ok());

  for (size_t rank = 0; rank < devices.size(); ++rank) {
    std::vector<std::byte> back(weights.size());
    const GpuStream& stream = communicator->stream(devices[rank]);
    ASSERT_TRUE(CopyToHost<std::byte>(stream, pointers[rank], back).ok());
    ASSERT_TRUE(stream.Wait().ok());
    EXPECT_TRUE(back == weights) << "GPU " << rank;
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
