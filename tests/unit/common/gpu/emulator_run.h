// What tests of the emulator need around a kernel: memory of the device with values in and out.
// For one thread.

#ifndef DROVER_TESTS_UNIT_COMMON_GPU_EMULATOR_RUN_H_
#define DROVER_TESTS_UNIT_COMMON_GPU_EMULATOR_RUN_H_

#include <vector>

#include "common/base/check.h"
#include "tests/support/cuda_emulator/cuda_runtime.h"

namespace drover {

template <typename T>
class OnDevice {
 public:
  // Holds a copy of `values`, which is not empty.
  explicit OnDevice(const std::vector<T>& values) : size_(values.size()) {
    DROVER_CHECK(cudaMalloc(&pointer_, Bytes()) == cudaSuccess);
    DROVER_CHECK(cudaMemcpy(pointer_, values.data(), Bytes(), cudaMemcpyHostToDevice) ==
                 cudaSuccess);
  }
  ~OnDevice() { (void)cudaFree(pointer_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  T* get() const { return pointer_; }

  // What is there when the default stream is done; empty after an error.
  std::vector<T> Read() const {
    std::vector<T> values(size_);
    const cudaError_t error = cudaMemcpy(values.data(), pointer_, Bytes(), cudaMemcpyDeviceToHost);
    return error == cudaSuccess ? values : std::vector<T>();
  }

 private:
  size_t Bytes() const { return size_ * sizeof(T); }

  const size_t size_;
  T* pointer_ = nullptr;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_COMMON_GPU_EMULATOR_RUN_H_
