// Training passes of the presets, and of their costly layers alone, on one lane: samples per second
// of this thread's CPU time.
//
//   nn_benchmark [--benchmark_filter=REGEX]

#include <benchmark/benchmark.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "worker/nn/lane.h"
#include "worker/nn/layer_table.h"
#include "worker/nn/model.h"
#include "worker/nn/presets.h"

namespace drover {
namespace {

const Dims kImage = {28, 28, 1};
constexpr int64_t kClasses = 10;

std::vector<float> Noise(int64_t count, uint64_t seed) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(0.1f * UnitFloat(Philox(seed, 0, static_cast<uint64_t>(i))[0]) - 0.05f);
  }
  return values;
}

void TrainNetwork(benchmark::State& state, const NetworkSpec& network, Precision precision) {
  PinLaneToOneThread();
  const int64_t samples = state.range(0);
  const std::unique_ptr<Model> model =
      Model::Make(network, {.micro_batch = samples, .precision = precision}).value();
  const Layout& layout = model->layout();
  const size_t elements = layout.SpanElements(layout.all_blocks());
  const std::vector<float> weights = Noise(static_cast<int64_t>(elements), 1);
  const std::vector<float> inputs = Noise(samples * ElementsOf(network.input), 2);
  const std::vector<int32_t> labels(static_cast<size_t>(samples), 3);
  std::vector<float> gradient(elements);
  const Batch batch = {.inputs = inputs.data(), .labels = labels.data(), .samples = samples};
  bool first = true;
  for (auto _ : state) {
    if (!model->ForwardBackward(batch, weights.data(), {gradient.data(), first, {}}).ok()) abort();
    first = false;
  }
  state.SetItemsProcessed(state.iterations() * samples);
}

void TrainLayer(benchmark::State& state, const LayerSpec& spec, const Dims& input, bool to_input,
                Precision precision) {
  PinLaneToOneThread();
  const int64_t samples = state.range(0);
  const std::unique_ptr<Layer> layer =
      MakeLayer(spec, input, {.micro_batch = samples, .precision = precision}).value();
  const std::vector<uint64_t> positions(static_cast<size_t>(samples), 7);
  const Batch batch = {.samples = samples, .seed = 1, .positions = positions.data()};
  const std::vector<float> x = Noise(samples * ElementsOf(input), 1);
  std::vector<float> y(static_cast<size_t>(samples * ElementsOf(layer->output_dims())));
  std::vector<float> dy = Noise(samples * ElementsOf(layer->output_dims()), 2);
  std::vector<float> dx(x.size());
  std::vector<std::vector<float>> weights, gradients;
  std::vector<const float*> weight_pointers;
  std::vector<GradientSum> sums;
  for (const TensorSpec& tensor : layer->tensors()) {
    weights.push_back(Noise(ElementsOf(Dims(tensor.shape.begin(), tensor.shape.end())), 3));
    gradients.emplace_back(weights.back().size());
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    weight_pointers.push_back(weights[i].data());
    sums.push_back({gradients[i].data(), /*accumulate=*/true});
  }
  for (auto _ : state) {
    if (!layer->Forward({&batch, /*training=*/true, x.data(), weight_pointers, y.data()}).ok() ||
        !layer
             ->Backward({.batch = &batch,
                         .input = x.data(),
                         .output = y.data(),
                         .weights = weight_pointers,
                         .output_gradient = dy.data(),
                         .input_gradient = to_input ? dx.data() : nullptr,
                         .weight_gradients = sums})
             .ok()) {
      abort();
    }
  }
  state.SetItemsProcessed(state.iterations() * samples);
}

struct NamedLayer {
  std::string name;
  LayerSpec spec;
  Dims input;
  bool to_input = true;
};

// Of the presets, at the sizes that they have there.
std::vector<NamedLayer> Layers() {
  using Cell = RecurrentSpec::Cell;
  const auto recurrent = [](const char* name, Cell cell) {
    return NamedLayer{
        name,
        {.name = "rnn",
         .kind =
             RecurrentSpec{.cell = cell, .size = 128, .bidirectional = true, .last_only = true}},
        kImage,
        /*to_input=*/false};
  };
  return {
      {"conv0",
       {"c", ConvolutionSpec{.filters = 32, .kernel = 5, .weight_init = {}}},
       kImage,
       false},
      {"pool0", {"", MaxPoolingSpec{}}, {28, 28, 32}},
      {"conv1",
       {"c", ConvolutionSpec{.filters = 64, .kernel = 5, .weight_init = {}}},
       {14, 14, 32}},
      {"flatten", {"", FlattenSpec{}}, {7, 7, 64}},
      {"dense3136x1024", {"d", DenseSpec{.size = 1024, .weight_init = {}}}, {3136}},
      {"dropout1024", {"d", DropoutSpec{.probability = 0.2}}, {1024}},
      {"dense784x256", {"d", DenseSpec{.size = 256, .weight_init = {}}}, {784}, false},
      recurrent("rnn", Cell::kRnn),
      recurrent("gru", Cell::kGru),
      recurrent("lstm", Cell::kLstm),
  };
}

void Register() {
  using Cell = RecurrentSpec::Cell;
  const std::vector<std::pair<std::string, NetworkSpec>> networks = {
      {"mlp", MlpNetwork(kImage, {256, 256, 256}, kClasses)},
      {"cnn", CnnNetwork(kImage, kClasses, PresetInit::kDefault)},
      {"bi_rnn", BiRecurrentNetwork(kImage, Cell::kRnn, kClasses, PresetInit::kDefault)},
      {"bi_gru", BiRecurrentNetwork(kImage, Cell::kGru, kClasses, PresetInit::kDefault)},
      {"bi_lstm", BiRecurrentNetwork(kImage, Cell::kLstm, kClasses, PresetInit::kDefault)}};
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    const std::string suffix = precision == Precision::kF32 ? "/f32" : "/bf16";
    const auto add = [](benchmark::internal::Benchmark* made) {
      made->Arg(128)->Arg(256)->Unit(benchmark::kMillisecond);
    };
    for (const auto& [name, network] : networks) {
      add(benchmark::RegisterBenchmark(("network/" + name + suffix).c_str(), TrainNetwork, network,
                                       precision));
    }
    for (const NamedLayer& layer : Layers()) {
      add(benchmark::RegisterBenchmark(("layer/" + layer.name + suffix).c_str(), TrainLayer,
                                       layer.spec, layer.input, layer.to_input, precision));
    }
  }
}

}  // namespace
}  // namespace drover

int main(int argc, char** argv) {
  drover::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
