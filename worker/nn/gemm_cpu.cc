#include <fmt/format.h>

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/nn/gemm.h"
#include "worker/nn/onednn_cpu.h"

namespace drover {
namespace {

using dnnl::memory;

Status Sgemm(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
             float beta, const Matrix& c) {
  const char a_op = a.transposed ? 'T' : 'N';
  const char b_op = b.transposed ? 'T' : 'N';
  const dnnl::status status = dnnl::sgemm(a_op, b_op, shape.m, shape.n, shape.k, alpha, a.values,
                                          a.stride, b.values, b.stride, beta, c.values, c.stride);
  if (status == dnnl::status::success) return Status();
  return Status(Code::kInternal, fmt::format("status {}", static_cast<int>(status)));
}

// Products in bfloat16. One per thread: oneDNN's kernels are slow to make and quick to use, and
// their scratch is not shared.
class Bf16Gemm {
 public:
  void Run(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
           float beta, const Matrix& c) {
    const Key key = {shape.m,  shape.n,      shape.k,  a.stride, a.transposed,
                     b.stride, b.transposed, c.stride, alpha,    beta};
    auto found = kernels_.find(key);
    if (found == kernels_.end()) {
      found = kernels_.emplace(key, MakeKernel(shape, alpha, a, b, beta, c)).first;
    }
    const Kernel& kernel = found->second;
    const memory left = Round(kernel.a, a.values, &left_);
    const memory right = Round(kernel.b, b.values, &right_);
    const memory out(kernel.c, engine_, c.values);
    kernel.product.execute(stream_,
                           {{DNNL_ARG_SRC, left}, {DNNL_ARG_WEIGHTS, right}, {DNNL_ARG_DST, out}});
  }

 private:
  using Key =
      std::tuple<int64_t, int64_t, int64_t, int64_t, bool, int64_t, bool, int64_t, float, float>;
  // A factor: how it lies in memory, its dense copy in bfloat16, and how that is made.
  struct Factor {
    memory::desc given;
    memory::desc rounded;
    dnnl::reorder round;
  };
  struct Kernel {
    Factor a;
    Factor b;
    memory::desc c;
    dnnl::matmul product;
  };

  Factor MakeFactor(int64_t rows, int64_t columns, const ConstMatrix& matrix) {
    // The copy keeps the order of the original: a transposed one is read column by column.
    const bool t = matrix.transposed;
    const memory::desc given({rows, columns}, memory::data_type::f32,
                             t ? memory::dims{1, matrix.stride} : memory::dims{matrix.stride, 1});
    const memory::desc rounded({rows, columns}, memory::data_type::bf16,
                               t ? memory::dims{1, rows} : memory::dims{columns, 1});
    return {given, rounded,
            dnnl::reorder(dnnl::reorder::primitive_desc(engine_, given, engine_, rounded))};
  }

  Kernel MakeKernel(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
                    float beta, const Matrix& c) {
    dnnl::primitive_attr attributes;
    if (alpha != 1.0f) attributes.set_output_scales(0, {alpha});
    if (beta != 0.0f) {
      dnnl::post_ops add;
      add.append_sum(beta);
      attributes.set_post_ops(add);
    }
    Factor left = MakeFactor(shape.m, shape.k, a);
    Factor right = MakeFactor(shape.k, shape.n, b);
    const memory::desc product({shape.m, shape.n}, memory::data_type::f32, {c.stride, 1});
    const dnnl::matmul::desc what(left.rounded, right.rounded, product);
    return {std::move(left), std::move(right), product,
            dnnl::matmul(dnnl::matmul::primitive_desc(what, attributes, engine_))};
  }

  memory Round(const Factor& factor, const float* values, std::vector<uint16_t>* storage) {
    storage->resize(factor.rounded.get_size() / sizeof(uint16_t));
    // oneDNN reads it only.
    const memory given(factor.given, engine_, const_cast<float*>(values));
    memory rounded(factor.rounded, engine_, storage->data());
    factor.round.execute(stream_, {{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, rounded}});
    return rounded;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::map<Key, Kernel> kernels_;
  std::vector<uint16_t> left_, right_;
};

}  // namespace

Status Gemm(const GemmShape& shape, float alpha, const ConstMatrix& a, const ConstMatrix& b,
            float beta, const Matrix& c) {
  Status status;
  if (shape.precision == Precision::kF32) {
    status = Sgemm(shape, alpha, a, b, beta, c);
  } else {
    status = TryOneDnn([&] {
      thread_local Bf16Gemm gemm;
      gemm.Run(shape, alpha, a, b, beta, c);
    });
  }
  if (status.ok()) return status;
  return status.Annotate(fmt::format("oneDNN product m={} n={} k={}", shape.m, shape.n, shape.k));
}

}  // namespace drover
