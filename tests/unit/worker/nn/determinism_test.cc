// The promise of worker/nn: the same bits on every run, lane, thread and address.

#include <gtest/gtest.h>
#include <omp.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "common/base/thread.h"
#include "tests/unit/worker/nn/mlp_fixture.h"
#include "worker/nn/lane.h"
#include "worker/nn/model.h"
#include "worker/nn/numeric_class.h"
#include "worker/nn/presets.h"

namespace drover {
namespace {

constexpr int64_t kMicroBatch = 32;
constexpr int64_t kLeaf = 2 * kMicroBatch - 5;  // The last micro-batch is padded.

const Dims kImage = {28, 28, 1};

NetworkSpec Mnist() { return MlpNetwork(kImage, {256, 256}, 10); }

struct NamedNetwork {
  const char* name;
  NetworkSpec network;
};

class DeterminismTest : public testing::TestWithParam<NamedNetwork> {
 protected:
  std::unique_ptr<Model> Make() const { return MakeModel(GetParam().network, kMicroBatch); }
};

INSTANTIATE_TEST_SUITE_P(
    Presets, DeterminismTest,
    testing::Values(NamedNetwork{"mlp", Mnist()},
                    NamedNetwork{"cnn", CnnNetwork(kImage, 10, PresetInit::kDefault)},
                    NamedNetwork{"bi_rnn", BiRecurrentNetwork(kImage, RecurrentSpec::Cell::kRnn, 10,
                                                              PresetInit::kDefault)},
                    NamedNetwork{"bi_gru", BiRecurrentNetwork(kImage, RecurrentSpec::Cell::kGru, 10,
                                                              PresetInit::kDefault)},
                    NamedNetwork{"bi_lstm", BiRecurrentNetwork(kImage, RecurrentSpec::Cell::kLstm,
                                                               10, PresetInit::kDefault)}),
    [](const auto& param) { return std::string(param.param.name); });

struct LeafSum {
  std::vector<float> gradient;
  double loss_sum = 0;

  friend bool operator==(const LeafSum& a, const LeafSum& b) {
    return a.gradient.size() == b.gradient.size() && a.loss_sum == b.loss_sum &&
           std::memcmp(a.gradient.data(), b.gradient.data(), 4 * a.gradient.size()) == 0;
  }
};

LeafSum RunLeaf(Model* model, const OwnedBatch& leaf, const std::vector<float>& weights) {
  LeafSum sum{ParameterSpace(model->layout(), 0.0f)};
  for (int64_t begin = 0; begin < kLeaf; begin += kMicroBatch) {
    const Batch part = {leaf.inputs.data() + begin * 784, leaf.labels.data() + begin,
                        std::min(kMicroBatch, kLeaf - begin)};
    sum.loss_sum +=
        model->ForwardBackward(part, weights.data(), {sum.gradient.data(), begin == 0, {}})
            .value()
            .loss_sum;
  }
  return sum;
}

ptrdiff_t ThreadsOfThisProcess() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

TEST_P(DeterminismTest, LanesRunningAtOnceAndOneAfterTheOtherGiveTheSameBits) {
  PinLaneToOneThread();
  const OwnedBatch leaf = MakeBatch(kLeaf, 784, 10, /*seed=*/5);
  const std::unique_ptr<Model> model = Make();
  const std::vector<float> weights = InitialWeights(model->layout(), /*seed=*/6);
  const LeafSum expected = RunLeaf(model.get(), leaf, weights);

  EXPECT_TRUE(RunLeaf(model.get(), leaf, weights) == expected);
  std::vector<char> equal(4, 0);
  {
    std::vector<Thread> lanes;
    for (char& lane_equal : equal) {
      lanes.emplace_back("lane", [&] {
        PinLaneToOneThread();
        const std::unique_ptr<Model> own = Make();
        lane_equal = 1;
        for (int repeat = 0; repeat < 2; ++repeat) {
          if (!(RunLeaf(own.get(), leaf, weights) == expected)) lane_equal = 0;
        }
      });
    }
  }

  EXPECT_EQ(equal, std::vector<char>(4, 1));
}

TEST_P(DeterminismTest, WorkBetweenTwoRunsOfALeafLeavesNoTrace) {
  PinLaneToOneThread();
  const std::unique_ptr<Model> model = Make();
  const OwnedBatch leaf = MakeBatch(kLeaf, 784, 10, /*seed=*/5);
  const OwnedBatch other = MakeBatch(kLeaf, 784, 10, /*seed=*/50);
  const std::vector<float> weights = InitialWeights(model->layout(), /*seed=*/6);
  const LeafSum before = RunLeaf(model.get(), leaf, weights);

  RunLeaf(model.get(), other, InitialWeights(model->layout(), /*seed=*/60));

  EXPECT_TRUE(RunLeaf(model.get(), leaf, weights) == before);
}

// Buffers come from different allocators in different processes.
TEST_P(DeterminismTest, AddressesOfTheBuffersDoNotMatter) {
  PinLaneToOneThread();
  const std::unique_ptr<Model> model = Make();
  const OwnedBatch batch = MakeBatch(kMicroBatch, 784, 10, /*seed=*/5);
  const std::vector<float> weights = InitialWeights(model->layout(), /*seed=*/6);
  std::vector<float> expected = ParameterSpace(model->layout(), 0.0f);
  ASSERT_TRUE(
      model->ForwardBackward(batch.view(), weights.data(), {expected.data(), true, {}}).ok());

  for (size_t shift = 1; shift < 16; shift += 3) {
    std::vector<float> inputs(shift, 0.0f);
    inputs.insert(inputs.end(), batch.inputs.begin(), batch.inputs.end());
    std::vector<float> shifted_weights(shift, 0.0f);
    shifted_weights.insert(shifted_weights.end(), weights.begin(), weights.end());
    std::vector<float> gradient(shift + expected.size(), 0.0f);
    const Batch view = {inputs.data() + shift, batch.labels.data(), kMicroBatch};
    ASSERT_TRUE(model
                    ->ForwardBackward(view, shifted_weights.data() + shift,
                                      {gradient.data() + shift, true, {}})
                    .ok());

    EXPECT_EQ(std::vector<float>(gradient.begin() + static_cast<int64_t>(shift), gradient.end()),
              expected)
        << "shifted by " << shift << " floats";
  }
}

TEST(LaneTest, PinnedLaneStartsNoThreads) {
  const OwnedBatch leaf = MakeBatch(kLeaf, 784, 10, /*seed=*/5);
  ptrdiff_t before = 0;
  ptrdiff_t after = 0;
  int threads_max = 0;

  Thread lane("lane", [&] {
    PinLaneToOneThread();
    before = ThreadsOfThisProcess();
    const std::unique_ptr<Model> model = MakeModel(Mnist(), kMicroBatch);
    RunLeaf(model.get(), leaf, InitialWeights(model->layout(), /*seed=*/6));
    after = ThreadsOfThisProcess();
    threads_max = omp_get_max_threads();
  });
  lane.Join();

  EXPECT_EQ(after, before);
  EXPECT_EQ(threads_max, 1);
}

TEST(LaneTest, PinningIsThisThreadsAlone) {
  int main_before = 0;
  int main_after = 0;
  Thread outer("outer", [&] {
    omp_set_num_threads(3);
    main_before = omp_get_max_threads();
    Thread lane("lane", [] { PinLaneToOneThread(); });
    lane.Join();
    main_after = omp_get_max_threads();
  });
  outer.Join();

  EXPECT_EQ(main_before, 3);
  EXPECT_EQ(main_after, 3);
}

TEST(NumericClassTest, NamesLibraryInstructionSetAndCaches) {
  const std::string name = NumericClassOfCpu();

  EXPECT_EQ(name.rfind("cpu onednn-", 0), 0u) << name;
  EXPECT_NE(name.find(" caches "), std::string::npos) << name;
  EXPECT_EQ(name.find("unknown"), std::string::npos) << name;
  EXPECT_LE(name.size(), 100u);
  EXPECT_EQ(NumericClassOfCpu(), name);
}

}  // namespace
}  // namespace drover
