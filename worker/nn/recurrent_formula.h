// One unit of a recurrent cell at one time step: the formulas of recurrent.h and their derivatives,
// for the CPU and for kernels. `sums` are what goes into sigmoid and tanh, `gates` what comes out.
// Pure.

#ifndef DROVER_WORKER_NN_RECURRENT_FORMULA_H_
#define DROVER_WORKER_NN_RECURRENT_FORMULA_H_

#include "common/base/host_device.h"
#include "worker/nn/float_sigmoid.h"

namespace drover {

// The gradient of the sum, from that of h.
DROVER_HOST_DEVICE inline float RnnGradient(float h, float dh) { return dh * (1.0f - h * h); }

struct LstmGates {
  float i;
  float f;
  float g;
  float o;
};

struct LstmState {
  LstmGates gates;
  float c;
  float tanh_c;
  float h;
};

DROVER_HOST_DEVICE inline LstmState LstmStep(const LstmGates& sums, float previous_c) {
  const float i = Sigmoid(sums.i);
  const float f = Sigmoid(sums.f);
  const float g = Tanh(sums.g);
  const float o = Sigmoid(sums.o);
  const float c = f * previous_c + i * g;
  const float shown = Tanh(c);
  return {{i, f, g, o}, c, shown, o * shown};
}

struct LstmGradient {
  LstmGates sums;
  float previous_c;
};

// dh, dc: what the output and the steps after have for h and c.
DROVER_HOST_DEVICE inline LstmGradient LstmStepGradient(const LstmGates& gates, float previous_c,
                                                        float tanh_c, float dh, float dc) {
  const float of_c = dc + dh * gates.o * (1.0f - tanh_c * tanh_c);
  return {
      {of_c * gates.g * gates.i * (1.0f - gates.i), of_c * previous_c * gates.f * (1.0f - gates.f),
       of_c * gates.i * (1.0f - gates.g * gates.g), dh * tanh_c * gates.o * (1.0f - gates.o)},
      of_c * gates.f};
}

struct GruGates {
  float r;
  float z;
  float n;
};

struct GruState {
  GruGates gates;
  float h;
};

// sums.n is without hidden_n, what the state before adds to it times r.
DROVER_HOST_DEVICE inline GruState GruStep(const GruGates& sums, float hidden_n, float previous_h) {
  const float r = Sigmoid(sums.r);
  const float z = Sigmoid(sums.z);
  const float n = Tanh(sums.n + r * hidden_n);
  return {{r, z, n}, (1.0f - z) * n + z * previous_h};
}

struct GruGradient {
  GruGates sums;
  float hidden_n;
  float previous_h;  // The part that passes gate z.
};

DROVER_HOST_DEVICE inline GruGradient GruStepGradient(const GruGates& gates, float hidden_n,
                                                      float previous_h, float dh) {
  const float of_n = dh * (1.0f - gates.z) * (1.0f - gates.n * gates.n);
  const float of_z = dh * (previous_h - gates.n) * gates.z * (1.0f - gates.z);
  const float of_r = of_n * hidden_n * gates.r * (1.0f - gates.r);
  return {{of_r, of_z, of_n}, of_n * gates.r, dh * gates.z};
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_RECURRENT_FORMULA_H_
