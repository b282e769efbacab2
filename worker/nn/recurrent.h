// Recurrent layers over sequences, with the gates, orders and names of PyTorch's nn.RNN (tanh),
// nn.GRU and nn.LSTM of one layer. With a = W_ih x_t + b_ih and u = W_hh h_{t-1} + b_hh, h before
// the first step 0:
//
//   RNN    h = tanh(a + u)
//   GRU    r, z = sigmoid(a + u)      n = tanh(a_n + r u_n)         h = (1 - z) n + z h_{t-1}
//          (Cho et al. 2014, arXiv:1406.1078; the reset gate acts after the product, as in cuDNN)
//   LSTM   i, f, o = sigmoid(a + u)   g = tanh(a_g + u_g)           c = f c_{t-1} + i g
//          h = o tanh(c)              (Hochreiter and Schmidhuber 1997; Gers et al. 2000)
//
//   "<name>.weight_ih_l0" [G H, features]   "<name>.weight_hh_l0" [G H, H]
//   "<name>.bias_ih_l0" [G H]               "<name>.bias_hh_l0" [G H]
// and the same with "_reverse" for the second direction. Gates are in the order n/a; r, z, n; i, f,
// g, o. Weights begin Glorot-uniform over the joint matrix of both, biases at 0 but for the LSTM's
// forget gate and the GRU's r and z, which begin at 1 (Jozefowicz et al. 2015).
//
// The way back is through all time steps. On the CPU the products are gemm.h's: oneDNN's own
// recurrent primitives run at 159 GFLOP/s forward and 73 backward where these products reach 223
// and 78 to 231 (28 steps of 28 features, 128 units, micro-batch 128, one Zen 5 core), and take all
// of a sequence where the last step of the backward direction needs only one. Not thread-safe;
// owned by one Model.

#ifndef DROVER_WORKER_NN_RECURRENT_H_
#define DROVER_WORKER_NN_RECURRENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/nn/layer.h"
#include "worker/nn/network_spec.h"
#include "worker/nn/recurrent_direction.h"

namespace drover {

class Recurrent : public Layer {
 public:
  // The layer's checks are MakeRecurrent's.
  Recurrent(std::string name, const RecurrentSpec& spec, const RecurrentShape& shape);

  std::vector<TensorSpec> tensors() const override;
  const Dims& output_dims() const override { return output_; }
  Status Forward(const ForwardPass& pass) override;
  Status Backward(const BackwardPass& pass) override;

 private:
  // Of direction d in an array of the layer's outputs.
  template <typename T>
  RecurrentOutput<T> OutputOf(T* values, size_t d) const;

  const std::string name_;
  const RecurrentShape shape_;
  const Dims output_;
  std::vector<RecurrentDirection> directions_;  // One or two.
  std::vector<float> x_, dx_;                   // [T, B, features]
};

// kInvalidArgument when the input is no sequence or `size` is out of bounds.
Result<std::unique_ptr<Layer>> MakeRecurrent(const std::string& name, const RecurrentSpec& spec,
                                             const Dims& input, const LayerSetting& setting);

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_H_
