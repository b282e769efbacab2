#include "worker/train/gpu_peak_flops.h"

namespace drover {
namespace {

// Per cycle and multiprocessor; 0: not known.
struct Rates {
  int major;
  int minor;
  int f32;
  int tf32;
  int bf16;
};

constexpr Rates kRates[] = {
    {7, 0, 128, 0, 0}, {7, 5, 128, 0, 0},       {8, 0, 128, 1024, 2048}, {8, 6, 256, 0, 0},
    {8, 9, 256, 0, 0}, {9, 0, 256, 2048, 4096}, {10, 0, 256, 0, 0},      {12, 0, 256, 0, 0},
};

}  // namespace

std::optional<double> GpuPeakFlops(const GpuInfo& gpu, GpuArithmetic arithmetic) {
  for (const Rates& rates : kRates) {
    if (rates.major != gpu.compute_major || rates.minor != gpu.compute_minor) continue;
    const int rate = arithmetic == GpuArithmetic::kF32    ? rates.f32
                     : arithmetic == GpuArithmetic::kTf32 ? rates.tf32
                                                          : rates.bf16;
    if (rate == 0 || gpu.clock_hz == 0) return std::nullopt;
    return static_cast<double>(gpu.multiprocessors) * static_cast<double>(gpu.clock_hz) * rate;
  }
  return std::nullopt;
}

}  // namespace drover
