// What the tests of worker/nn share: a parameter space with initial weights and a batch of made-up
// inputs, both functions of a seed. Each test builds its own.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_MLP_FIXTURE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_MLP_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "common/tensor/layout.h"
#include "worker/nn/model.h"
#include "worker/nn/presets.h"

namespace drover {

inline std::unique_ptr<Model> MakeModel(const NetworkSpec& network, int64_t micro_batch) {
  Result<std::unique_ptr<Model>> model = Model::Make(network, {.micro_batch = micro_batch});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return std::move(model).value();
}

// [SpanElements] float32, `fill` everywhere.
inline std::vector<float> ParameterSpace(const Layout& layout, float fill) {
  return std::vector<float>(layout.SpanElements(layout.all_blocks()), fill);
}

inline std::vector<float> InitialWeights(const Layout& layout, uint64_t seed) {
  std::vector<float> weights = ParameterSpace(layout, 0.0f);
  for (size_t t = 0; t < layout.tensors().size(); ++t) {
    FillInitial(layout.tensors()[t].init, seed, static_cast<uint32_t>(t), 0, layout.tensor_size(t),
                weights.data() + layout.tensor_offset(t));
  }
  return weights;
}

struct OwnedBatch {
  std::vector<float> inputs;
  std::vector<int32_t> labels;

  Batch view() const { return {inputs.data(), labels.data(), static_cast<int64_t>(labels.size())}; }
};

// Inputs uniform in [0, 1), labels uniform.
inline OwnedBatch MakeBatch(int64_t samples, int64_t input_size, int64_t classes, uint64_t seed) {
  OwnedBatch batch;
  for (int64_t i = 0; i < samples * input_size; ++i) {
    batch.inputs.push_back(UnitFloat(Philox(seed, 1, static_cast<uint64_t>(i))[0]));
  }
  for (int64_t i = 0; i < samples; ++i) {
    const uint32_t word = Philox(seed, 2, static_cast<uint64_t>(i))[0];
    batch.labels.push_back(static_cast<int32_t>(word % static_cast<uint32_t>(classes)));
  }
  return batch;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_MLP_FIXTURE_H_
