// Against the data sheets, at the clocks that they state.

#include "worker/train/gpu_peak_flops.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

GpuInfo Gpu(int major, int minor, int multiprocessors, int megahertz) {
  GpuInfo gpu;
  gpu.compute_major = major;
  gpu.compute_minor = minor;
  gpu.multiprocessors = multiprocessors;
  gpu.clock_hz = int64_t{megahertz} * 1'000'000;
  return gpu;
}

// To half a unit of the last digit that is printed there.
void ExpectTera(const GpuInfo& gpu, GpuArithmetic arithmetic, double tera, double half_unit) {
  const std::optional<double> peak = GpuPeakFlops(gpu, arithmetic);
  ASSERT_TRUE(peak.has_value());
  EXPECT_NEAR(*peak / 1e12, tera, half_unit);
}

TEST(GpuPeakFlopsTest, A100) {
  const GpuInfo a100 = Gpu(8, 0, 108, 1410);
  ExpectTera(a100, GpuArithmetic::kF32, 19.5, 0.05);
  ExpectTera(a100, GpuArithmetic::kTf32, 156, 0.5);
  ExpectTera(a100, GpuArithmetic::kBf16, 312, 0.5);
}

// H100 SXM5: 1,830 MHz with tensor cores, 1,980 without.
TEST(GpuPeakFlopsTest, H100) {
  ExpectTera(Gpu(9, 0, 132, 1980), GpuArithmetic::kF32, 66.9, 0.05);
  ExpectTera(Gpu(9, 0, 132, 1830), GpuArithmetic::kTf32, 494.7, 0.05);
  ExpectTera(Gpu(9, 0, 132, 1830), GpuArithmetic::kBf16, 989.4, 0.05);
}

TEST(GpuPeakFlopsTest, OthersInFloat32) {
  ExpectTera(Gpu(7, 0, 80, 1530), GpuArithmetic::kF32, 15.7, 0.05);   // V100.
  ExpectTera(Gpu(8, 6, 82, 1695), GpuArithmetic::kF32, 35.6, 0.05);   // GeForce RTX 3090.
  ExpectTera(Gpu(8, 9, 142, 2520), GpuArithmetic::kF32, 91.6, 0.05);  // L40S.
}

TEST(GpuPeakFlopsTest, NothingIsMadeUp) {
  EXPECT_FALSE(GpuPeakFlops(Gpu(8, 6, 82, 1695), GpuArithmetic::kBf16).has_value());
  EXPECT_FALSE(GpuPeakFlops(Gpu(7, 0, 80, 1530), GpuArithmetic::kTf32).has_value());
  EXPECT_FALSE(GpuPeakFlops(Gpu(99, 0, 132, 1980), GpuArithmetic::kF32).has_value());
  EXPECT_FALSE(GpuPeakFlops(Gpu(9, 0, 132, 0), GpuArithmetic::kF32).has_value());
}

}  // namespace
}  // namespace drover
