#include <fmt/format.h>

#include <dnnl.hpp>
#include <exception>

#include "worker/nn/gemm.h"

namespace drover {

Status Gemm(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
            float beta, const Matrix& c) {
  const char a_op = a.transposed ? 'T' : 'N';
  const char b_op = b.transposed ? 'T' : 'N';
  try {
    const dnnl::status status = dnnl::sgemm(a_op, b_op, shape.m, shape.n, shape.k, alpha, a.values,
                                            a.stride, b.values, b.stride, beta, c.values, c.stride);
    if (status == dnnl::status::success) return Status();
    return Status(Code::kInternal,
                  fmt::format("oneDNN sgemm m={} n={} k={} failed with status {}", shape.m, shape.n,
                              shape.k, static_cast<int>(status)));
  } catch (const std::exception& error) {
    return Status(Code::kInternal, fmt::format("oneDNN sgemm m={} n={} k={}: {}", shape.m, shape.n,
                                               shape.k, error.what()));
  }
}

}  // namespace drover
