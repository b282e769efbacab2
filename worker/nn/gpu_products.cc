#include "worker/nn/gpu_products.h"

#include <fmt/format.h>

namespace drover {

std::string ProductText(const GpuProduct& product) {
  return fmt::format("[{}, {}] x [{}, {}]", product.m, product.k, product.k, product.n);
}

Status CheckProduct(const GpuProduct& product) {
  const auto refuse = [&product](const char* what) {
    return Status(Code::kInvalidArgument,
                  fmt::format("product {} on the GPU: {}", ProductText(product), what));
  };
  if (product.m < 1 || product.n < 1 || product.k < 1) return refuse("expected extents above 0");
  if (product.b.values.type != product.a.values.type) return refuse("expected factors of one type");
  if (product.bias.data != nullptr && product.bias.type != product.c.values.type) {
    return refuse("expected a bias of the result's type");
  }
  if (product.accumulate && product.c.values.type != ValueType::kF32) {
    return refuse("expected float32 to be added to");
  }
  return Status();
}

}  // namespace drover
