#include "common/gpu/cuda_status.h"
#include "common/gpu/kernel.h"
#include "tests/unit/worker/nn/warp_product_probe.h"
#include "worker/nn/warp_product.cuh"

namespace drover {
namespace {

__global__ void ProductKernel(const float* a, const float* b, float* c) {
  // The layouts of the PTX ISA, element by element: mma.m16n8k16, fragments of A, B and C.
  const int group = LaneIndex() >> 2;
  const int thread_in_group = LaneIndex() % 4;
  uint32_t a_fragment[4] = {};
  for (int i = 0; i < 8; ++i) {
    const int row = (i < 2 || (i >= 4 && i < 6)) ? group : group + 8;
    const int column = thread_in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
    a_fragment[i / 2] |= uint32_t{ToBf16(a[row * 16 + column])} << (i % 2 * 16);
  }
  uint32_t b_fragment[2] = {};
  for (int i = 0; i < 4; ++i) {
    const int row = thread_in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
    b_fragment[i / 2] |= uint32_t{ToBf16(b[row * 8 + group])} << (i % 2 * 16);
  }
  float c_fragment[4];
  for (int i = 0; i < 4; ++i) {
    c_fragment[i] = c[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)];
  }
  AddWarpProduct(a_fragment, b_fragment[0], b_fragment[1], c_fragment);
  for (int i = 0; i < 4; ++i) {
    c[(i < 2 ? group : group + 8) * 8 + thread_in_group * 2 + (i & 1)] = c_fragment[i];
  }
}

__global__ void LoadKernel(const uint4* rows, uint32_t* plain, uint32_t* transposed) {
  DROVER_SHARED_ARRAY(uint4, shared, 64);
  for (int i = LaneIndex(); i < 64; i += 32) shared[i] = rows[i];
  __syncthreads();
  // Row r of matrix i is element 2 (8 i + r) + 1: a stride of two.
  const auto index_of = [](int i) { return 2 * i + 1; };
  uint32_t to[4];
  LoadMatrices<false>(shared, index_of, to);
  for (int i = 0; i < 4; ++i) plain[4 * LaneIndex() + i] = to[i];
  LoadMatrices<true>(shared, index_of, to);
  for (int i = 0; i < 4; ++i) transposed[4 * LaneIndex() + i] = to[i];
}

__global__ void PackKernel(const float* pairs, uint32_t* packed) {
  packed[LaneIndex()] = PackBf16(pairs[2 * LaneIndex()], pairs[2 * LaneIndex() + 1]);
}

cudaStream_t HandleOf(const GpuStream& stream) {
  return static_cast<cudaStream_t>(stream.handle());
}

}  // namespace

Status MultiplyOnWarp(const float* a, const float* b, float* c, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(ProductKernel, 1, 32, 0, HandleOf(stream), a, b, c);
  return LaunchStatus("ProductKernel");
}

Status LoadMatricesOnWarp(const uint16_t* rows, uint32_t* plain, uint32_t* transposed,
                          const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(LoadKernel, 1, 32, 0, HandleOf(stream), reinterpret_cast<const uint4*>(rows), plain,
                transposed);
  return LaunchStatus("LoadKernel");
}

Status PackOnWarp(const float* pairs, uint32_t* packed, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(PackKernel, 1, 32, 0, HandleOf(stream), pairs, packed);
  return LaunchStatus("PackKernel");
}

}  // namespace drover
