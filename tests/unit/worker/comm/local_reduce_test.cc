#include "worker/comm/local_reduce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>

#include "common/base/philox.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/fake_communicator.h"
#include "tests/support/fake_nccl.h"
#include "worker/comm/nccl_communicator.h"

namespace drover {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr int kLeaves = 16;

// Layouts of the reduction: tensor sizes.
struct Case {
  const char* name;
  std::vector<int64_t> sizes;
};
const Case kCases[] = {
    {"uneven", {3000, 1, 700, 2999, 17, 16, 1500, 33, 2, 2048, 1023, 5}},
    {"fewer_blocks_than_ranks", {100, 3}},
    {"one_element", {1}},
};

Layout LayoutOf(const Case& c) {
  std::vector<TensorSpec> tensors;
  for (const int64_t size : c.sizes)
    tensors.push_back({"t" + std::to_string(tensors.size()), {size}, {}});
  return Layout::Make(std::move(tensors)).value();
}

// Runs of one or two blocks: each small tensor is a block.
std::vector<BlockRange> Chunks(const Layout& layout) {
  std::vector<BlockRange> chunks;
  for (uint32_t block = 0; block < layout.block_count();) {
    const uint32_t end = std::min(block + 1 + block % 2, layout.block_count());
    chunks.push_back({block, end});
    block = end;
  }
  return chunks;
}

// Any int64, also those whose sums wrap.
int64_t LeafGradient(int leaf, uint64_t element) {
  const auto words = Philox(7, static_cast<uint32_t>(leaf), element);
  return static_cast<int64_t>(uint64_t{words[0]} << 32 | words[1]);
}

enum class Backend { kFake, kNccl };

// One of both communicators on so many emulated devices.
struct Host {
  explicit Host(Backend backend, int ranks) {
    if (backend == Backend::kFake) {
      communicator =
          std::make_unique<FakeCommunicator>(ranks, /*seed=*/static_cast<uint64_t>(ranks));
      return;
    }
    nccl = std::make_unique<FakeNccl>();
    std::vector<int> devices(static_cast<size_t>(ranks));
    std::iota(devices.begin(), devices.end(), 0);
    communicator = NcclCommunicator::Make(nccl->Api(), devices).value();
  }

  std::unique_ptr<FakeNccl> nccl;  // Outlives the communicator.
  std::unique_ptr<LocalCommunicator> communicator;
};

class LocalReduceTest : public ::testing::TestWithParam<std::tuple<Backend, int, int>> {
 protected:
  Backend backend() const { return std::get<0>(GetParam()); }
  int ranks() const { return std::get<1>(GetParam()); }
  void SetUp() override { emulator::SetDeviceCount(ranks()); }
  void TearDown() override { emulator::SetDeviceCount(1); }
  const Case& layout_case() const { return kCases[std::get<2>(GetParam())]; }
};

// What the ranks' memory holds after leaf by leaf was added to the sums of rank leaf mod ranks, as
// kernels will.
std::vector<std::vector<int64_t>> SumsOfRanks(const Layout& layout, const LocalSlices& slices) {
  std::vector<std::vector<int64_t>> ranks(static_cast<size_t>(slices.ranks()),
                                          std::vector<int64_t>(slices.padded_elements(), 0));
  for (int leaf = 0; leaf < kLeaves; ++leaf) {
    int64_t* const sums = ranks[static_cast<size_t>(leaf % slices.ranks())].data();
    for (size_t chunk = 0; chunk < slices.chunks().size(); ++chunk) {
      const BlockRange range = slices.chunks()[chunk];
      for (uint32_t block = range.begin; block < range.end; ++block) {
        const uint64_t offset = layout.blocks()[block].offset;
        int64_t* const to = sums + slices.PaddedOffset(chunk) + offset - layout.SpanOffset(range);
        for (uint64_t i = 0; i < layout.blocks()[block].size; ++i) {
          to[i] = static_cast<int64_t>(static_cast<uint64_t>(to[i]) +
                                       static_cast<uint64_t>(LeafGradient(leaf, offset + i)));
        }
      }
    }
  }
  return ranks;
}

// What a chunk's sums must be, by a plain loop over all leaves; gaps are zero.
std::vector<int64_t> ExpectedSums(const Layout& layout, BlockRange chunk) {
  std::vector<int64_t> sums(layout.SpanElements(chunk), 0);
  for (uint32_t block = chunk.begin; block < chunk.end; ++block) {
    for (uint64_t i = 0; i < layout.blocks()[block].size; ++i) {
      const uint64_t element = layout.blocks()[block].offset + i;
      uint64_t sum = 0;
      for (int leaf = 0; leaf < kLeaves; ++leaf) {
        sum += static_cast<uint64_t>(LeafGradient(leaf, element));
      }
      sums[element - layout.SpanOffset(chunk)] = static_cast<int64_t>(sum);
    }
  }
  return sums;
}

TEST_P(LocalReduceTest, SumsAreThoseOfOnePlainLoopForAnyNumberOfRanks) {
  const Layout layout = LayoutOf(layout_case());
  Host host(backend(), ranks());
  auto reduce = LocalReduce::Make(LocalSlices(layout, Chunks(layout), ranks()),
                                  host.communicator.get(), seconds(10))
                    .value();
  const std::vector<std::vector<int64_t>> sums = SumsOfRanks(layout, reduce->slices());
  emulator::ForEachSeed(4, [&](uint64_t seed) {
    for (int rank = 0; rank < ranks(); ++rank) {
      ASSERT_TRUE(CopyToDevice<int64_t>(host.communicator->stream(rank),
                                        sums[static_cast<size_t>(rank)], reduce->sums(rank))
                      .ok());
    }

    std::vector<int64_t> space(layout.SpanElements(layout.all_blocks()), 0);
    ASSERT_TRUE(reduce->ReduceTo(space.data()).ok());

    for (const BlockRange& chunk : reduce->slices().chunks()) {
      const std::vector<int64_t> expected = ExpectedSums(layout, chunk);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                             space.begin() + static_cast<ptrdiff_t>(layout.SpanOffset(chunk))))
          << "block " << chunk.begin << ", seed " << seed;
    }
  });
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_P(LocalReduceTest, ClearForgetsTheLeaseBefore) {
  const Layout layout = LayoutOf(layout_case());
  Host host(backend(), ranks());
  auto reduce = LocalReduce::Make(LocalSlices(layout, Chunks(layout), ranks()),
                                  host.communicator.get(), seconds(10))
                    .value();
  const std::vector<int64_t> ones(reduce->slices().padded_elements(), 1);
  ASSERT_TRUE(CopyToDevice<int64_t>(host.communicator->stream(0), ones, reduce->sums(0)).ok());

  ASSERT_TRUE(reduce->Clear().ok());
  std::vector<int64_t> space(layout.SpanElements(layout.all_blocks()), 0);
  ASSERT_TRUE(reduce->ReduceTo(space.data()).ok());

  EXPECT_THAT(space, ::testing::Each(0));
}

std::string NameOf(const ::testing::TestParamInfo<LocalReduceTest::ParamType>& param) {
  const auto [backend, ranks, index] = param.param;
  return std::string(backend == Backend::kFake ? "fake_" : "nccl_") + std::to_string(ranks) +
         "_ranks_" + kCases[index].name;
}

INSTANTIATE_TEST_SUITE_P(All, LocalReduceTest,
                         ::testing::Combine(::testing::Values(Backend::kFake, Backend::kNccl),
                                            ::testing::Values(1, 2, 4, 8),
                                            ::testing::Values(0, 1, 2)),
                         NameOf);

class LocalReduceOnEightTest : public ::testing::Test {
 protected:
  void SetUp() override { emulator::SetDeviceCount(8); }
  void TearDown() override { emulator::SetDeviceCount(1); }
};

TEST_F(LocalReduceOnEightTest, NoChunksNeedNoReduction) {
  const Layout layout = LayoutOf(kCases[0]);
  for (const Backend backend : {Backend::kFake, Backend::kNccl}) {
    Host host(backend, 4);
    auto reduce =
        LocalReduce::Make(LocalSlices(layout, {}, 4), host.communicator.get(), seconds(10)).value();

    int64_t nothing = 5;
    EXPECT_TRUE(reduce->ReduceTo(&nothing).ok());
    EXPECT_EQ(nothing, 5);
  }
}

TEST_F(LocalReduceOnEightTest, AnErrorOfOneRankIsReportedAndSticks) {
  const Layout layout = LayoutOf(kCases[0]);
  auto fake = std::make_unique<FakeCommunicator>(4, /*seed=*/1);
  fake->Fail(2, Status(Code::kInternal, "fell off the bus"));
  auto reduce =
      LocalReduce::Make(LocalSlices(layout, Chunks(layout), 4), fake.get(), seconds(10)).value();
  std::vector<int64_t> space(layout.SpanElements(layout.all_blocks()), 0);

  const Status first = reduce->ReduceTo(space.data());
  const Status second = reduce->ReduceTo(space.data());

  EXPECT_EQ(first.code(), Code::kInternal);
  EXPECT_THAT(first.message(), HasSubstr("rank 2: fell off the bus"));
  EXPECT_EQ(second.message(), first.message());
}

}  // namespace
}  // namespace drover
