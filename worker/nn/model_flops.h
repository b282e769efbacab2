// How much arithmetic a network is, from its shapes alone: what a rate of computing is measured in.
// Pure functions; not what a device executes, but what the model asks for.
//
// Counted are the matrix products, a multiplication and an addition each as two operations:
//   dense layer of I to O values on R rows          2 R I O
//   convolution of F filters k x k x C on W windows 2 W F k^2 C, windows at the edge counted whole
//   self-attention of S tokens of H values          4 * 2 S H^2 + 2 * 2 S^2 H
//   recurrent layer of n units, G gates, I inputs   2 G n (I + n) per time step and direction
//   BERT's head: M masked tokens, vocabulary V      2 M (H^2 + H V) + 2 (H^2 + 2 H)
// Elementwise work, norms, pooling, look-ups and losses count as nothing. Padding counts like
// tokens; what is recomputed to save memory does not count again.

#ifndef DROVER_WORKER_NN_MODEL_FLOPS_H_
#define DROVER_WORKER_NN_MODEL_FLOPS_H_

#include "worker/nn/network_spec.h"

namespace drover {

// Operations of the forward pass for one sample of a network that Model::Make takes. A number, not
// a count that must be exact: beyond 2^53 it is rounded.
double ForwardFlops(const NetworkSpec& network);

// Both passes: the backward pass has two products, for inputs and for weights, where the forward
// pass has one. For a dense network six operations per weight.
inline double TrainingFlops(const NetworkSpec& network) { return 3.0 * ForwardFlops(network); }

}  // namespace drover

#endif  // DROVER_WORKER_NN_MODEL_FLOPS_H_
