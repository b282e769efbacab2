#include "worker/nn/layer_table.h"

#include <utility>

#include "worker/nn/attention.h"
#include "worker/nn/bert_pretraining.h"
#include "worker/nn/convolution.h"
#include "worker/nn/dropout.h"
#include "worker/nn/embedding.h"
#include "worker/nn/flatten.h"
#include "worker/nn/gelu.h"
#include "worker/nn/layer_norm.h"
#include "worker/nn/linear.h"
#include "worker/nn/max_pooling.h"
#include "worker/nn/mean_squared_error.h"
#include "worker/nn/recurrent.h"
#include "worker/nn/relu.h"
#include "worker/nn/residual.h"
#include "worker/nn/sigmoid.h"
#include "worker/nn/softmax_cross_entropy.h"
#include "worker/nn/tanh.h"

namespace drover {
namespace {

// One overload per kind of layer; std::visit refuses to compile when one is missing.
struct LayerMaker {
  const std::string& name;
  const Dims& input;
  const LayerSetting& setting;

  using LayerResult = Result<std::unique_ptr<Layer>>;
  LayerResult operator()(const DenseSpec& s) const { return MakeLinear(name, s, input, setting); }
  LayerResult operator()(const ReluSpec&) const { return MakeRelu(input, setting); }
  LayerResult operator()(const FlattenSpec&) const { return MakeFlatten(input, setting); }
  LayerResult operator()(const ResidualSpec& s) const { return MakeResidual(s, input, setting); }
  LayerResult operator()(const EmbeddingSpec& s) const {
    return MakeEmbedding(name, s, input, setting);
  }
  LayerResult operator()(const LayerNormSpec& s) const {
    return MakeLayerNorm(name, s, input, setting);
  }
  LayerResult operator()(const AttentionSpec& s) const {
    return MakeAttention(name, s, input, setting);
  }
  LayerResult operator()(const GeluSpec&) const { return MakeGelu(input, setting); }
  LayerResult operator()(const DropoutSpec& s) const {
    return MakeDropout(name, s, input, setting);
  }
  LayerResult operator()(const SigmoidSpec&) const { return MakeSigmoid(input, setting); }
  LayerResult operator()(const TanhSpec&) const { return MakeTanh(input, setting); }
  LayerResult operator()(const ConvolutionSpec& s) const {
    return MakeConvolution(name, s, input, setting);
  }
  LayerResult operator()(const MaxPoolingSpec& s) const {
    return MakeMaxPooling(s, input, setting);
  }
  LayerResult operator()(const RecurrentSpec& s) const {
    return MakeRecurrent(name, s, input, setting);
  }
};

struct HeadMaker {
  const Dims& input;
  const LayerSetting& setting;

  using HeadResult = Result<std::unique_ptr<Head>>;
  HeadResult operator()(const SoftmaxCrossEntropySpec& s) const {
    return MakeSoftmaxCrossEntropy(s, input, setting);
  }
  HeadResult operator()(const BertPretrainingSpec& s) const {
    return MakeBertPretraining(s, input, setting);
  }
  HeadResult operator()(const MeanSquaredErrorSpec& s) const {
    return MakeMeanSquaredError(s, input, setting);
  }
};

}  // namespace

Result<std::unique_ptr<Layer>> MakeLayer(const LayerSpec& spec, const Dims& input,
                                         const LayerSetting& setting) {
  return std::visit(LayerMaker{spec.name, input, setting}, spec.kind);
}

Result<std::unique_ptr<Head>> MakeHead(const HeadSpec& spec, const Dims& input,
                                       const LayerSetting& setting) {
  return std::visit(HeadMaker{input, setting}, spec.kind);
}

}  // namespace drover
