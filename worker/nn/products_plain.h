// Matrix products by a plain kernel, one thread per result, which adds in the order of k. Slow, and
// so simple that it can be believed: what tests on a GPU compare cuBLASLt with, and what the
// emulator runs in its place. One thread.

#ifndef DROVER_WORKER_NN_PRODUCTS_PLAIN_H_
#define DROVER_WORKER_NN_PRODUCTS_PLAIN_H_

#include <string>

#include "worker/nn/gpu_products.h"

namespace drover {

class PlainProducts : public GpuProducts {
 public:
  std::string name() const override { return "plain"; }
  Status Multiply(const GpuProduct& product, const GpuStream& stream) override;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_PRODUCTS_PLAIN_H_
