// A layer on a GPU beside the same layer on the CPU: equal inputs, and how far apart the results
// are. On the emulator and on a GPU.

#ifndef DROVER_TESTS_UNIT_WORKER_NN_GPU_LAYER_PROBE_H_
#define DROVER_TESTS_UNIT_WORKER_NN_GPU_LAYER_PROBE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/gpu/device.h"
#include "tests/unit/worker/nn/layer_probe.h"
#include "worker/nn/gpu_layer.h"

namespace drover {

// Device memory that is filled with NaN or copied from the host; the test fails when it cannot be.
// Every array ends at the end of its own allocation, so that AddressSanitizer sees what goes
// beyond.
class GpuArrays {
 public:
  GpuArrays();

  const GpuStream& stream() const { return *stream_; }
  template <typename T>
  T* Copy(const T* host, size_t count) {
    return static_cast<T*>(CopyBytes(host, count * sizeof(T)));
  }
  // `values` rounded to the type.
  GpuValues Values(const std::vector<float>& values, ValueType type);
  std::byte* Bytes(size_t bytes);  // 0xff, which is NaN in both types.
  // One tensor, rounded too if `type` says so.
  GpuWeight Weight(const std::vector<float>& values, ValueType type);
  // All arrays of a batch; targets have the shape of the inputs.
  Batch CopyBatch(const Batch& batch, int64_t micro_batch, const Dims& input,
                  int64_t predictions = 0);

  std::vector<float> Read(ConstGpuValues values, size_t count);
  template <typename T>
  std::vector<T> ReadAs(const T* device, size_t count) {
    std::vector<T> values(count);
    ReadBytes(device, values.data(), count * sizeof(T));
    return values;
  }

 private:
  void* CopyBytes(const void* host, size_t bytes);
  void ReadBytes(const void* device, void* host, size_t bytes);

  std::unique_ptr<GpuStream> stream_;
  std::vector<GpuMemory> memory_;
};

std::vector<uint16_t> Bf16Bits(const std::vector<float>& values);
void RoundValuesToBf16(std::vector<float>* values);
// |gpu - cpu| <= tolerance * (1 + |cpu|) for each element; says which is not.
void ExpectClose(const std::string& what, const std::vector<float>& gpu,
                 const std::vector<float>& cpu, double tolerance);

// Runs Forward (and Backward) of both layers of `spec` with the noise of LayerProbe and compares
// output, input gradient and weight gradients: |gpu - cpu| <= tolerance * (1 + |cpu|). For kBf16
// inputs and weights are rounded first, so that only the layer's own rounding differs.
struct GpuProbeOptions {
  Batch batch = {};  // On the host; `samples` 0: all are real.
  bool reads_values = true;
  bool training = true;
  bool accumulate = false;  // Gradients are added to 1.
  Precision precision = Precision::kF32;
  double tolerance = 1e-5;
  // What is tested in place of MakeGpuLayer's.
  std::function<std::unique_ptr<GpuLayer>(const LayerSetting& setting)> make = {};
};
void ExpectGpuLayerAgrees(const LayerSpec& spec, const Dims& input, int64_t micro_batch,
                          const GpuProbeOptions& options = {});

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_NN_GPU_LAYER_PROBE_H_
