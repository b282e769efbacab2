// Pairs with update_gpu.h: the kernels of one pass each. The fused one is in update_fused_gpu.cu.

#include <array>
#include <utility>

#include "common/gpu/cuda_status.h"
#include "server/optim/tensor_ratio.cuh"
#include "server/optim/update_gpu.h"
#include "server/optim/update_strip.cuh"

namespace drover {
namespace {

template <Rule kRule, bool kSums>
__global__ void __launch_bounds__(kStripThreads, 3)
    MeasureKernel(UpdateTables tables, UpdateNumbersOnGpu numbers, UpdateArrays arrays,
                  BlockNorms* strip_norms) {
  DROVER_SHARED_ARRAY(double, scratch, 2 * kStripSegments);
  const UpdateStrip strip = tables.strips[blockIdx.x];
  const StepScalars s = numbers.groups[tables.tensors[strip.tensor].group].scalars;
  const BlockNorms norms = MeasureStrip<kRule, kSums, /*kAdvance=*/false>(
      arrays, strip, s, numbers.step->mean_factor, scratch);
  if (threadIdx.x == 0) strip_norms[blockIdx.x] = norms;
}

// One thread per block of the layout.
__global__ void __launch_bounds__(kStripThreads)
    BlockNormsKernel(UpdateTables tables, const BlockNorms* strip_norms, BlockNorms* block_norms) {
  const uint32_t block = blockIdx.x * kStripThreads + threadIdx.x;
  if (block < tables.block_count) {
    block_norms[block] =
        SumStrips(strip_norms, tables.block_strips[block], tables.block_strips[block + 1]);
  }
}

__global__ void __launch_bounds__(kStripThreads)
    TrustRatiosKernel(UpdateTables tables, UpdateNumbersOnGpu numbers,
                      const BlockNorms* strip_norms, float* tensor_scales, TensorRatio* ratios) {
  DROVER_SHARED_ARRAY(double, scratch, 2 * kStripThreads);
  const UpdateTensor tensor = tables.tensors[blockIdx.x];
  if (tensor.strip_count == 0) return;
  const BlockNorms squares = SumTensor(tables, tensor, strip_norms, scratch);
  if (threadIdx.x != 0) return;
  const TensorRatio ratio = RatioOf(numbers.groups[tensor.group], squares);
  tensor_scales[blockIdx.x] = ScaleOf(numbers.groups[tensor.group], ratio);
  if (ratios != nullptr) ratios[blockIdx.x] = ratio;
}

template <Rule kRule, bool kSums>
__global__ void __launch_bounds__(kStripThreads, 3)
    ApplyKernel(UpdateTables tables, UpdateNumbersOnGpu numbers, UpdateArrays arrays,
                const float* tensor_scales) {
  const UpdateStrip strip = tables.strips[blockIdx.x];
  const StepScalars s = numbers.groups[tables.tensors[strip.tensor].group].scalars;
  ApplyStrip<kRule, kSums, /*kAdvanced=*/false>(arrays, strip, s, *numbers.step,
                                                tensor_scales[strip.tensor]);
}

// Launchers of one rule, from a gradient and from sums.
struct Launchers {
  void (*measure[2])(const UpdateTables&, const UpdateNumbersOnGpu&, const UpdateArrays&,
                     BlockNorms* strip_norms, cudaStream_t);
  void (*apply[2])(const UpdateTables&, const UpdateNumbersOnGpu&, const UpdateArrays&,
                   const float* tensor_scales, cudaStream_t);
};

template <Rule kRule, bool kSums>
void LaunchMeasure(const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                   const UpdateArrays& arrays, BlockNorms* strip_norms, cudaStream_t stream) {
  DROVER_LAUNCH((MeasureKernel<kRule, kSums>), tables.strip_count, kStripThreads, 0, stream, tables,
                numbers, arrays, strip_norms);
}

template <Rule kRule, bool kSums>
void LaunchApply(const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                 const UpdateArrays& arrays, const float* tensor_scales, cudaStream_t stream) {
  DROVER_LAUNCH((ApplyKernel<kRule, kSums>), tables.strip_count, kStripThreads, 0, stream, tables,
                numbers, arrays, tensor_scales);
}

template <size_t... kIndex>
Launchers LaunchersAt(size_t index, std::index_sequence<kIndex...>) {
  static constexpr std::array<Launchers, sizeof...(kIndex)> kLaunchers = {Launchers{
      {&LaunchMeasure<kRules[kIndex].rule, false>, &LaunchMeasure<kRules[kIndex].rule, true>},
      {&LaunchApply<kRules[kIndex].rule, false>, &LaunchApply<kRules[kIndex].rule, true>}}...};
  return kLaunchers[index];
}

Launchers LaunchersOf(Rule rule) {
  return LaunchersAt(static_cast<size_t>(rule), std::make_index_sequence<kRules.size()>());
}

cudaStream_t HandleOf(const GpuStream& stream) {
  return static_cast<cudaStream_t>(stream.handle());
}

}  // namespace

Status MeasureOnGpu(Rule rule, const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                    const UpdateArrays& arrays, BlockNorms* strip_norms, BlockNorms* block_norms,
                    const GpuStream& stream) {
  if (tables.strip_count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  LaunchersOf(rule).measure[arrays.gradient == nullptr](tables, numbers, arrays, strip_norms,
                                                        HandleOf(stream));
  if (block_norms != nullptr) {
    const uint32_t grid = (tables.block_count + kStripThreads - 1) / kStripThreads;
    DROVER_LAUNCH(BlockNormsKernel, grid, kStripThreads, 0, HandleOf(stream), tables, strip_norms,
                  block_norms);
  }
  return LaunchStatus("MeasureKernel");
}

Status TrustRatiosOnGpu(const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                        const BlockNorms* strip_norms, float* tensor_scales, TensorRatio* ratios,
                        const GpuStream& stream) {
  if (tables.tensor_count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  DROVER_LAUNCH(TrustRatiosKernel, tables.tensor_count, kStripThreads, 0, HandleOf(stream), tables,
                numbers, strip_norms, tensor_scales, ratios);
  return LaunchStatus("TrustRatiosKernel");
}

Status ApplyOnGpu(Rule rule, const UpdateTables& tables, const UpdateNumbersOnGpu& numbers,
                  const UpdateArrays& arrays, const float* tensor_scales, const GpuStream& stream) {
  if (tables.strip_count == 0) return Status();
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  LaunchersOf(rule).apply[arrays.gradient == nullptr](tables, numbers, arrays, tensor_scales,
                                                      HandleOf(stream));
  return LaunchStatus("ApplyKernel");
}

}  // namespace drover
