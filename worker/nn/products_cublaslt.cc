// The library is column-major: our row-major [r, c] is its [c, r]. So it is asked for the
// transposed product, c^T [n, m] = b^T [n, k] * a^T [k, m]: b comes first, and a bias per column of
// ours is one per row of its result, as its epilogue has it.

#include "worker/nn/products_cublaslt.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace drover {
namespace {

// What NVIDIA recommends for an H100; enough for its best algorithms.
constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr uint32_t kReductions = kCublasLtReductionNone | kCublasLtReductionComputeType;

int CudaType(ValueType type) { return type == ValueType::kBf16 ? kCudaBf16 : kCudaF32; }

// The largest power of two, up to 256, that divides the address.
uint32_t AlignmentOf(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return static_cast<uint32_t>(std::min<uintptr_t>(address == 0 ? 256 : address & -address, 256));
}

}  // namespace

CublasLtProducts::CublasLtProducts(CublasLtApi cublas, int device, bool tf32)
    : cublas_(std::move(cublas)), device_(device), tf32_(tf32) {}

Result<std::unique_ptr<GpuProducts>> CublasLtProducts::Make(CublasLtApi cublas, int device,
                                                            bool tf32) {
  std::unique_ptr<CublasLtProducts> products(new CublasLtProducts(std::move(cublas), device, tf32));
  Result<GpuStream> stream = GpuStream::Open(device);  // Makes sure that the device can be used.
  if (!stream.ok()) return stream.status();
  DROVER_RETURN_IF_ERROR(stream.value().MakeCurrent());
  CublasLtHandle handle = nullptr;
  DROVER_RETURN_IF_ERROR(products->Check(products->cublas_.Create(&handle), "begin"));
  products->handle_ = Owned(handle, products->cublas_.Destroy);
  Result<DeviceBuffer<std::byte>> workspace =
      DeviceBuffer<std::byte>::Make(device, kWorkspaceBytes);
  if (!workspace.ok()) return workspace.status().Annotate("workspace of cuBLASLt");
  products->workspace_ = std::move(workspace).value();
  return std::unique_ptr<GpuProducts>(std::move(products));
}

std::string CublasLtProducts::name() const {
  return fmt::format("cublaslt-{}{}", CublasLtVersionName(cublas_.GetVersion()),
                     tf32_ ? " tf32" : "");
}

Status CublasLtProducts::Check(CublasStatus status, const std::string& what) const {
  if (status == kCublasSuccess) return Status();
  return CublasLtStatus(cublas_, status,
                        fmt::format("cuBLASLt {} on GPU {}: {}",
                                    CublasLtVersionName(cublas_.GetVersion()), device_, what));
}

Status CublasLtProducts::Set(const Owned& desc, int attribute, const void* value,
                             size_t bytes) const {
  return Check(cublas_.MatmulDescSetAttribute(desc.get(), attribute, value, bytes),
               fmt::format("attribute {} of a product", attribute));
}

Result<CublasLtProducts::Owned> CublasLtProducts::MakeLayout(ValueType type, int64_t rows,
                                                             int64_t columns,
                                                             int64_t leading) const {
  CublasLtLayout layout = nullptr;
  DROVER_RETURN_IF_ERROR(
      Check(cublas_.MatrixLayoutCreate(&layout, CudaType(type), static_cast<uint64_t>(rows),
                                       static_cast<uint64_t>(columns), leading),
            fmt::format("layout of [{}, {}] with rows of {}", columns, rows, leading)));
  return Owned(layout, cublas_.MatrixLayoutDestroy);
}

Result<CublasLtProducts::Owned> CublasLtProducts::MakeDesc(const GpuProduct& product) const {
  const bool shortens = tf32_ && product.a.values.type == ValueType::kF32;
  CublasLtDesc made = nullptr;
  DROVER_RETURN_IF_ERROR(
      Check(cublas_.MatmulDescCreate(
                &made, shortens ? kCublasCompute32FFastTf32 : kCublasCompute32F, kCudaF32),
            "description of a product"));
  Owned desc(made, cublas_.MatmulDescDestroy);
  const int32_t first = product.b.transposed ? kCublasOpT : kCublasOpN;
  const int32_t second = product.a.transposed ? kCublasOpT : kCublasOpN;
  DROVER_RETURN_IF_ERROR(Set(desc, kCublasLtDescTransA, &first, sizeof(first)));
  DROVER_RETURN_IF_ERROR(Set(desc, kCublasLtDescTransB, &second, sizeof(second)));
  if (product.bias.data != nullptr) {
    DROVER_RETURN_IF_ERROR(
        Set(desc, kCublasLtDescEpilogue, &kCublasLtEpilogueBias, sizeof(kCublasLtEpilogueBias)));
    // For its alignment; each product sets its own. Its type is the result's.
    DROVER_RETURN_IF_ERROR(
        Set(desc, kCublasLtDescBiasPointer, &product.bias.data, sizeof(product.bias.data)));
  }
  return desc;
}

Status CublasLtProducts::ChooseAlgorithm(const GpuProduct& product, Plan* plan) const {
  CublasLtPreference made = nullptr;
  DROVER_RETURN_IF_ERROR(Check(cublas_.MatmulPreferenceCreate(&made), "preferences"));
  const Owned preference(made, cublas_.MatmulPreferenceDestroy);
  const auto set = [this, made](int attribute, const auto& value) {
    return Check(cublas_.MatmulPreferenceSetAttribute(made, attribute, &value, sizeof(value)),
                 fmt::format("preference {}", attribute));
  };
  const void* const arrays[] = {product.b.values.data, product.a.values.data, product.c.values.data,
                                product.c.values.data};
  DROVER_RETURN_IF_ERROR(set(kCublasLtPreferenceWorkspaceBytes, uint64_t{kWorkspaceBytes}));
  DROVER_RETURN_IF_ERROR(set(kCublasLtPreferenceReductionMask, kReductions));
  for (int i = 0; i < 4; ++i) {
    DROVER_RETURN_IF_ERROR(set(kCublasLtPreferenceAlignmentA + i, AlignmentOf(arrays[i])));
  }
  CublasLtHeuristicResult found = {};
  int count = 0;
  DROVER_RETURN_IF_ERROR(
      Check(cublas_.MatmulAlgoGetHeuristic(handle_.get(), plan->desc.get(), plan->first.get(),
                                           plan->second.get(), plan->result.get(),
                                           plan->result.get(), made, 1, &found, &count),
            "algorithm for " + ProductText(product)));
  if (count < 1) {
    return Status(Code::kInternal, fmt::format("{} on GPU {} has no algorithm for {}", name(),
                                               device_, ProductText(product)));
  }
  DROVER_RETURN_IF_ERROR(Check(found.state, "algorithm for " + ProductText(product)));
  plan->algo = found.algo;
  return Status();
}

Result<CublasLtProducts::Plan> CublasLtProducts::MakePlan(const GpuProduct& product) const {
  const auto layout = [this](const ConstGpuMatrix& matrix, int64_t rows, int64_t columns) {
    // As stored: what stands for its transpose has the extents the other way round.
    if (matrix.transposed) std::swap(rows, columns);
    return MakeLayout(matrix.values.type, columns, rows, matrix.stride);
  };
  Result<Owned> desc = MakeDesc(product);
  if (!desc.ok()) return desc.status();
  Result<Owned> first = layout(product.b, product.k, product.n);
  if (!first.ok()) return first.status();
  Result<Owned> second = layout(product.a, product.m, product.k);
  if (!second.ok()) return second.status();
  Result<Owned> result = MakeLayout(product.c.values.type, product.n, product.m, product.c.stride);
  if (!result.ok()) return result.status();
  Plan plan = {std::move(desc).value(), std::move(first).value(), std::move(second).value(),
               std::move(result).value()};
  DROVER_RETURN_IF_ERROR(ChooseAlgorithm(product, &plan));
  return plan;
}

CublasLtProducts::Key CublasLtProducts::KeyOf(const GpuProduct& product) {
  return {product.m,
          product.n,
          product.k,
          product.a.stride,
          product.a.transposed ? 1 : 0,
          product.b.stride,
          product.b.transposed ? 1 : 0,
          product.c.stride,
          static_cast<int64_t>(product.a.values.type),
          static_cast<int64_t>(product.c.values.type),
          product.bias.data != nullptr ? 1 : 0,
          AlignmentOf(product.a.values.data),
          AlignmentOf(product.b.values.data),
          AlignmentOf(product.c.values.data),
          AlignmentOf(product.bias.data)};
}

Status CublasLtProducts::Multiply(const GpuProduct& product, const GpuStream& stream) {
  DROVER_RETURN_IF_ERROR(CheckProduct(product));
  DROVER_RETURN_IF_ERROR(stream.MakeCurrent());
  const Key key = KeyOf(product);
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    Result<Plan> plan = MakePlan(product);
    if (!plan.ok()) return plan.status();
    found = plans_.emplace(key, std::move(plan).value()).first;
  }
  const Plan& plan = found->second;
  if (product.bias.data != nullptr) {
    DROVER_RETURN_IF_ERROR(
        Set(plan.desc, kCublasLtDescBiasPointer, &product.bias.data, sizeof(product.bias.data)));
  }
  const float alpha = 1.0f;
  const float beta = product.accumulate ? 1.0f : 0.0f;
  return Check(cublas_.Matmul(handle_.get(), plan.desc.get(), &alpha, product.b.values.data,
                              plan.first.get(), product.a.values.data, plan.second.get(), &beta,
                              product.c.values.data, plan.result.get(), product.c.values.data,
                              plan.result.get(), &plan.algo, workspace_.data(), workspace_.bytes(),
                              stream.handle()),
               "product " + ProductText(product));
}

}  // namespace drover
