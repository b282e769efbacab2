// A network as data: what goes in, a list of layers, and the head that turns the last one's output
// into a loss. Made by the presets (presets.h) or from a job file; built by Model::Make. A new
// layer is a struct here, a member of LayerSpec::kind, and the function that makes it, named in its
// own header and called by layer_table.cc. Plain values.

#ifndef DROVER_WORKER_NN_NETWORK_SPEC_H_
#define DROVER_WORKER_NN_NETWORK_SPEC_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "worker/nn/layer.h"

namespace drover {

// How a matrix of weights begins. fan_in and fan_out are its inputs and outputs per unit.
struct WeightInit {
  enum class Kind {
    kHe,      // Uniform, variance 2 / fan_in: in front of a ReLU. He et al. 2015, arXiv:1502.01852.
    kLecun,   // Uniform, variance 1 / fan_in: in front of the loss.
    kGlorot,  // Uniform, variance 2 / (fan_in + fan_out). Glorot and Bengio 2010.
    kNormal,  // Normal with `deviation`.
  };
  Kind kind = Kind::kHe;
  double deviation = 0.0;  // kNormal only.
};

// y = x W^T + b over the last extent of the input; the others stay.
struct DenseSpec {
  int64_t size = 0;
  WeightInit weight_init = {};
  double bias_deviation = 0.0;  // Biases are normal with it; 0: they begin at 0.
};

struct ReluSpec {};

struct SigmoidSpec {};

struct TanhSpec {};

// {height, width, channels} to {channels * height * width}, in the order of PyTorch's nn.Flatten;
// {T, features} to {T * features}.
struct FlattenSpec {};

// Tokens to rows: the first layer of a network that reads text.
struct EmbeddingSpec {
  int64_t vocabulary = 0;   // Of the dataset, or more.
  int64_t size = 0;         // Values per token.
  int64_t positions = 0;    // At least the sequence length; 0: rows do not tell where they stand.
  int64_t segments = 0;     // 2 for pairs of sentences; 0: segments are not read.
  double deviation = 0.02;  // Normal initial values.
};

// Over the last extent. 1e-12 is BERT's.
struct LayerNormSpec {
  double epsilon = 1e-12;
};

// Multi-head self-attention, {S, size} to {S, size}.
struct AttentionSpec {
  int64_t heads = 1;     // A divisor of size.
  double dropout = 0.0;  // Of the attention's weights, in [0, 1).
  WeightInit weight_init = {WeightInit::Kind::kNormal, 0.02};
};

// x Phi(x), exactly, not its approximation by tanh.
struct GeluSpec {};

// The layer's name is the key of its random numbers: it must have one.
struct DropoutSpec {
  double probability = 0.0;    // Of a value to be struck out, in [0, 1).
  bool at_evaluation = false;  // Evaluations draw too.
};

// How a window meets the edges of an image, by the names of TensorFlow. kSame: as many results per
// axis as ceil(extent / stride), the image surrounded by zeros (convolution) or by nothing
// (pooling), the odd row or column of them below and on the right. kValid: only windows that lie
// inside.
enum class Padding { kSame, kValid };

// Cross-correlation with square filters, {height, width, channels} to {height, width, filters}.
struct ConvolutionSpec {
  int64_t filters = 0;
  int64_t kernel = 3;  // Height and width of a filter.
  int64_t stride = 1;
  Padding padding = Padding::kSame;
  WeightInit weight_init = {};
  double bias_deviation = 0.0;  // Biases are normal with it; 0: they begin at 0.
};

// The largest value of each square window, channel by channel.
struct MaxPoolingSpec {
  int64_t size = 2;  // Height and width of a window.
  int64_t stride = 2;
  Padding padding = Padding::kSame;
};

// {T, features...} to {T, directions * size}, or to {directions * size} of the last time step.
struct RecurrentSpec {
  enum class Cell { kRnn, kGru, kLstm };
  Cell cell = Cell::kLstm;
  int64_t size = 0;  // Units per direction.
  bool bidirectional = false;
  // Only the output at the last time step, which the backward direction reaches after one step.
  bool last_only = false;
};

struct LayerSpec;

// y = x + f(x), where f is `layers` one after the other; its output is the shape of its input.
struct ResidualSpec {
  std::vector<LayerSpec> layers;
};

struct LayerSpec {
  std::string name;  // Of its tensors: "<name>.weight". May be empty for layers without.
  std::variant<DenseSpec, ReluSpec, FlattenSpec, ResidualSpec, EmbeddingSpec, LayerNormSpec,
               AttentionSpec, GeluSpec, DropoutSpec, SigmoidSpec, TanhSpec, ConvolutionSpec,
               MaxPoolingSpec, RecurrentSpec>
      kind;
};

// Mean-free: losses and gradients are sums over the samples.
struct SoftmaxCrossEntropySpec {
  int64_t classes = 0;  // Equal to the size of the last output.
};

// The mean over the outputs of (y - t)^2, of one sample; losses are sums over the samples.
struct MeanSquaredErrorSpec {
  int64_t classes = 0;  // Targets are 1 at the label's output and 0 elsewhere; 0: Batch::targets.
};

// BERT's two tasks: masked tokens and next sentence.
struct BertPretrainingSpec {
  std::string embedding;    // Name of the embedding layer whose words it shares ...
  EmbeddingSpec words;      // ... and its specification.
  int64_t predictions = 0;  // Masked tokens of one sample, at most.
  double epsilon = 1e-12;   // Of its LayerNorm.
};

struct HeadSpec {
  std::variant<SoftmaxCrossEntropySpec, BertPretrainingSpec, MeanSquaredErrorSpec> kind;
};

struct NetworkSpec {
  Dims input;               // Of one sample: {784}, {28, 28, 1}, or {S} for tokens.
  int64_t vocabulary = 0;   // > 0: the input is tokens.
  int64_t predictions = 0;  // Masked positions of one sample, for heads that predict them.
  std::vector<LayerSpec> layers;
  HeadSpec head;
};

// What `init` is for a matrix of these fans.
InitRule MakeInitRule(const WeightInit& init, int64_t fan_in, int64_t fan_out);
// Biases normal with this deviation, or zeros for 0.
InitRule MakeBiasInit(double deviation);

}  // namespace drover

#endif  // DROVER_WORKER_NN_NETWORK_SPEC_H_
