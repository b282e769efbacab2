// Matrix products by cuBLASLt. One thread, and one stream at a time: all products share a
// workspace.
//
// The same bits on every run: cuBLAS gives them on GPUs of one architecture and number of
// multiprocessors, with one version of the library, for one algorithm whose workspace no other
// stream uses (cuBLAS documentation, 2.1.4 "Results Reproducibility"). So an algorithm is chosen
// once per shape, and each object has a workspace of its own. Sums over k are made in one sequence,
// or in parts that lie in the workspace as float32 and are added in a separate step
// (CUBLASLT_REDUCTION_SCHEME_NONE and _COMPUTE_TYPE). The other schemes are not allowed: they add
// parts in the output buffer, or round them to its type.

#ifndef DROVER_WORKER_NN_PRODUCTS_CUBLASLT_H_
#define DROVER_WORKER_NN_PRODUCTS_CUBLASLT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/gpu/cublaslt.h"
#include "common/gpu/device.h"
#include "worker/nn/gpu_products.h"

namespace drover {

class CublasLtProducts : public GpuProducts {
 public:
  // As MakeProducts, with these functions.
  static Result<std::unique_ptr<GpuProducts>> Make(CublasLtApi cublas, int device, bool tf32);

  std::string name() const override;
  Status Multiply(const GpuProduct& product, const GpuStream& stream) override;

 private:
  // An object of the library, which destroys it.
  using Owned = std::unique_ptr<void, std::function<CublasStatus(void*)>>;

  // How one shape is multiplied.
  struct Plan {
    Owned desc;
    Owned first;  // Layouts of the factors and of the result, as the library sees them.
    Owned second;
    Owned result;
    CublasLtAlgo algo = {};
  };
  // What the choice of an algorithm depends on.
  using Key = std::array<int64_t, 15>;

  CublasLtProducts(CublasLtApi cublas, int device, bool tf32);
  static Key KeyOf(const GpuProduct& product);
  Result<Plan> MakePlan(const GpuProduct& product) const;
  Status ChooseAlgorithm(const GpuProduct& product, Plan* plan) const;
  Result<Owned> MakeDesc(const GpuProduct& product) const;
  Result<Owned> MakeLayout(ValueType type, int64_t rows, int64_t columns, int64_t leading) const;
  Status Set(const Owned& desc, int attribute, const void* value, size_t bytes) const;
  Status Check(CublasStatus status, const std::string& what) const;

  const CublasLtApi cublas_;
  const int device_;
  const bool tf32_;
  Owned handle_;
  DeviceBuffer<std::byte> workspace_;
  std::map<Key, Plan> plans_;
};

}  // namespace drover

#endif  // DROVER_WORKER_NN_PRODUCTS_CUBLASLT_H_
