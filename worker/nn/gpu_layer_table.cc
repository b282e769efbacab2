#include "worker/nn/gpu_layer_table.h"

#include "worker/nn/attention_gpu.h"
#include "worker/nn/bert_pretraining_gpu.h"
#include "worker/nn/convolution_gpu.h"
#include "worker/nn/dropout_gpu.h"
#include "worker/nn/elementwise_gpu.h"
#include "worker/nn/embedding_gpu.h"
#include "worker/nn/flatten_gpu.h"
#include "worker/nn/gelu_gpu.h"
#include "worker/nn/layer_norm_gpu.h"
#include "worker/nn/layer_table.h"
#include "worker/nn/linear_gpu.h"
#include "worker/nn/max_pooling_gpu.h"
#include "worker/nn/mean_squared_error_gpu.h"
#include "worker/nn/recurrent_gpu.h"
#include "worker/nn/relu_gpu.h"
#include "worker/nn/residual_gpu.h"
#include "worker/nn/sigmoid_gpu.h"
#include "worker/nn/softmax_cross_entropy_gpu.h"
#include "worker/nn/tanh_gpu.h"

namespace drover {
namespace {

// One overload per kind of layer; std::visit refuses to compile when one is missing.
struct GpuLayerMaker {
  const Layer& same;
  const std::string& name;
  const Dims& input;
  const LayerSetting& setting;

  using LayerResult = Result<std::unique_ptr<GpuLayer>>;

  template <typename Kind, typename... Args>
  static LayerResult Make(Args&&... args) {
    return std::unique_ptr<GpuLayer>(std::make_unique<Kind>(std::forward<Args>(args)...));
  }
  LayerResult operator()(const DenseSpec& s) const {
    return Make<LinearGpu>(same, s, input, setting);
  }
  LayerResult operator()(const AttentionSpec& s) const {
    return MakeAttentionGpu(same, name, s, input, setting);
  }
  LayerResult operator()(const ConvolutionSpec& s) const {
    return Make<ConvolutionGpu>(same, s, input, setting);
  }
  LayerResult operator()(const MaxPoolingSpec& s) const {
    return Make<MaxPoolingGpu>(same, s, input, setting);
  }
  LayerResult operator()(const RecurrentSpec& s) const {
    return Make<RecurrentGpu>(same, s, input, setting);
  }
  LayerResult operator()(const ReluSpec&) const {
    return Make<ElementwiseGpu>(same, input, setting, ReluForwardGpu, ReluBackwardGpu);
  }
  LayerResult operator()(const SigmoidSpec&) const {
    return Make<ElementwiseGpu>(same, input, setting, SigmoidForwardGpu, SigmoidBackwardGpu);
  }
  LayerResult operator()(const TanhSpec&) const {
    return Make<ElementwiseGpu>(same, input, setting, TanhForwardGpu, TanhBackwardGpu);
  }
  LayerResult operator()(const GeluSpec&) const {
    return Make<ElementwiseGpu>(same, input, setting, GeluForwardGpu, GeluBackwardGpu);
  }
  LayerResult operator()(const FlattenSpec&) const {
    return Make<FlattenGpu>(same, input, setting);
  }
  LayerResult operator()(const DropoutSpec& s) const {
    return Make<DropoutGpu>(same, name, s, input, setting);
  }
  LayerResult operator()(const ResidualSpec& s) const {
    return MakeResidualGpu(same, s, input, setting);
  }
  LayerResult operator()(const LayerNormSpec& s) const {
    return Make<LayerNormGpu>(same, s, input, setting);
  }
  LayerResult operator()(const EmbeddingSpec& s) const {
    return Make<EmbeddingGpu>(same, s, input, setting);
  }
};

struct GpuHeadMaker {
  const Head& same;
  const Dims& input;
  const LayerSetting& setting;

  using HeadResult = Result<std::unique_ptr<GpuHead>>;

  template <typename Kind, typename... Args>
  static HeadResult Make(Args&&... args) {
    return std::unique_ptr<GpuHead>(std::make_unique<Kind>(std::forward<Args>(args)...));
  }
  HeadResult operator()(const SoftmaxCrossEntropySpec& s) const {
    return Make<SoftmaxCrossEntropyGpu>(same, s, setting);
  }
  HeadResult operator()(const BertPretrainingSpec& s) const {
    return MakeBertPretrainingGpu(same, s, input, setting);
  }
  HeadResult operator()(const MeanSquaredErrorSpec& s) const {
    return Make<MeanSquaredErrorGpu>(same, s, input, setting);
  }
};

}  // namespace

// The layer of the CPU for one sample knows tensors and limits; it is gone before the next is made.
Result<std::unique_ptr<GpuLayer>> MakeGpuLayer(const LayerSpec& spec, const Dims& input,
                                               const LayerSetting& setting) {
  const Result<std::unique_ptr<Layer>> same =
      MakeLayer(spec, input, {.micro_batch = 1, .precision = setting.precision});
  if (!same.ok()) return same.status();
  return std::visit(GpuLayerMaker{*same.value(), spec.name, input, setting}, spec.kind);
}

Result<std::unique_ptr<GpuHead>> MakeGpuHead(const HeadSpec& spec, const Dims& input,
                                             const LayerSetting& setting) {
  const Result<std::unique_ptr<Head>> same =
      MakeHead(spec, input, {.micro_batch = 1, .precision = setting.precision});
  if (!same.ok()) return same.status();
  return std::visit(GpuHeadMaker{*same.value(), input, setting}, spec.kind);
}

}  // namespace drover
