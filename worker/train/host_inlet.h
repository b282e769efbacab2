// Weights on their way to several GPUs of one host: each uploads its n-th part of what arrives over
// its own bus, and the GPUs give each other the rest, which is quicker and reads the host's memory
// once. When they cannot, each uploads everything. Thread-safe, as inlets are.

#ifndef DROVER_WORKER_TRAIN_HOST_INLET_H_
#define DROVER_WORKER_TRAIN_HOST_INLET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/tensor/weights_view.h"
#include "worker/comm/host_reduce.h"
#include "worker/nn/gpu_weights_inlet.h"
#include "worker/nn/weights_inlet.h"

namespace drover {

class HostInlet : public WeightsInlet {
 public:
  // `gpus`: of the ranks of `host`. `elements`: of the parameter space.
  HostInlet(std::vector<std::shared_ptr<GpuWeightsInlet>> gpus, std::shared_ptr<HostReduce> host,
            uint64_t elements);

  void Begin(int64_t version) override;
  void Arrived(int64_t version, const ArrivedWeights& chunk) override;
  // Blocks until every GPU has all weights.
  void Complete(int64_t version) override;

 private:
  // What GPU `index` uploads.
  ElementRange PartOf(size_t index) const;
  // False when they do not have their parts.
  bool Gather(int64_t version);

  const std::vector<std::shared_ptr<GpuWeightsInlet>> gpus_;
  const std::shared_ptr<HostReduce> host_;
  const uint64_t elements_;
  std::atomic<bool> shares_{true};
};

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_HOST_INLET_H_
