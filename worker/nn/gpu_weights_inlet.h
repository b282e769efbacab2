// The inlet of one GPU. Chunks are copied from pinned memory by a stream of their own into a
// landing place on the device, so that kernels of the version before go on. The first micro-batch
// of the new version then waits, on the device, for the last copy, and one pass brings the weights
// from the landing place to where the model has them: bfloat16 came as bfloat16 (2 bytes per weight
// over the bus) and is widened there.
//
// Why a landing place and not a second set of weights: recorded graphs hold addresses, and the pass
// costs 8 bytes per weight (1 ms of a step of BERT-large on an H100), once per version.
//
// Outlives the models of its GPU: a phase with another micro-batch has another model. Thread-safe.

#ifndef DROVER_WORKER_NN_GPU_WEIGHTS_INLET_H_
#define DROVER_WORKER_NN_GPU_WEIGHTS_INLET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/gpu/device.h"
#include "worker/nn/weights_inlet.h"

namespace drover {

// Where a model has its weights on the device.
struct WeightsOnGpu {
  float* values;      // [elements]
  uint16_t* rounded;  // [elements]; null: the model has no bfloat16 copy.
};

class GpuWeightsInlet : public WeightsInlet {
 public:
  // Takes no memory yet: until Open, nothing that arrives is kept.
  explicit GpuWeightsInlet(int device) : device_(device) {}
  ~GpuWeightsInlet() override;

  // Bytes of device memory of the landing place.
  static size_t DeviceBytes(size_t elements, bool takes_bf16) {
    return elements * (takes_bf16 ? sizeof(uint16_t) : sizeof(float));
  }

  // `takes_bf16`: weights of the job come as bfloat16, else as float32; chunks of the other kind
  // are not kept. Does nothing when it is open already. kResourceExhausted as of DeviceBuffer.
  Status Open(size_t elements, bool takes_bf16) DROVER_EXCLUDES(mutex_);

  void Begin(int64_t version) override DROVER_EXCLUDES(mutex_);
  void Arrived(int64_t version, const ArrivedWeights& chunk) override DROVER_EXCLUDES(mutex_);
  void Complete(int64_t version) override DROVER_EXCLUDES(mutex_);

  // For whoever brings a part of the weights here by another way, before Complete. Behind `stream`
  // the landing place may be written and what has arrived is there. Nothing when another version is
  // expected, chunks were not kept, or a copy has failed. Valid until Open of another kind.
  struct Landed {
    const GpuStream* stream;
    std::byte* memory;  // Of all elements.
    bool is_bf16;       // Else float32.
  };
  std::optional<Landed> LandedOf(int64_t version) DROVER_EXCLUDES(mutex_);

  // Enqueues in `compute`, behind all copies, what brings `version` to `to`. False when it is not
  // here, or not whole: then it must come from the host's memory. Errors are of the copies too.
  Result<bool> Hand(int64_t version, const WeightsOnGpu& to, const GpuStream& compute)
      DROVER_EXCLUDES(mutex_);

 private:
  struct Landing {
    GpuStream copies;
    DeviceBuffer<std::byte> memory;
    GpuEvent arrived;  // In `copies`.
    GpuEvent handed;   // In the model's stream: the landing place may be written again.
  };
  static Result<Landing> Make(int device, size_t bytes);
  // The landing place is written from here on: behind what still reads it.
  Status Touch() DROVER_REQUIRES(mutex_);
  Status Copy(const ArrivedWeights& chunk) DROVER_REQUIRES(mutex_);
  Status Widen(const WeightsOnGpu& to, const GpuStream& compute) DROVER_REQUIRES(mutex_);

  const int device_;
  Mutex mutex_;
  std::unique_ptr<Landing> landing_ DROVER_GUARDED_BY(mutex_);
  size_t elements_ DROVER_GUARDED_BY(mutex_) = 0;
  bool takes_bf16_ DROVER_GUARDED_BY(mutex_) = false;

  std::optional<int64_t> version_ DROVER_GUARDED_BY(mutex_);
  bool untouched_ DROVER_GUARDED_BY(mutex_) = true;  // No chunk of version_ yet.
  bool missed_ DROVER_GUARDED_BY(mutex_) = false;    // One that was not kept.
  bool complete_ DROVER_GUARDED_BY(mutex_) = false;
  Status broken_ DROVER_GUARDED_BY(mutex_);  // The first error; sticks.
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_GPU_WEIGHTS_INLET_H_
