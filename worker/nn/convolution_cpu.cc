#include <vector>

#include "worker/nn/convolution.h"
#include "worker/nn/onednn_cpu.h"

namespace drover {
namespace {

using dnnl::memory;

// Moves an array between the way the project keeps it and the way a kernel wants it; does nothing
// when they are the same.
class Converter {
 public:
  Converter(const memory::desc& given, const memory::desc& wanted, const dnnl::engine& engine)
      : given_(given), wanted_(wanted), engine_(engine) {
    if (given_ == wanted_) return;
    to_wanted_ = dnnl::reorder({engine, given, engine, wanted});
    storage_ = memory(wanted, engine);
  }

  memory Convert(const float* values, dnnl::stream& stream) {
    const memory given = ReadOnly(given_, engine_, values);
    if (given_ == wanted_) return given;
    to_wanted_.execute(stream, {{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, storage_}});
    return storage_;
  }

 private:
  memory::desc given_, wanted_;
  dnnl::engine engine_;
  dnnl::reorder to_wanted_;
  memory storage_;
};

memory::dims Strides(const ConvolutionShape& s) { return {s.height.stride, s.width.stride}; }
memory::dims Before(const ConvolutionShape& s) { return {s.height.before, s.width.before}; }
memory::dims After(const ConvolutionShape& s) { return {s.height.after, s.width.after}; }

}  // namespace

// Images keep their order, in bfloat16 too; filters are brought into the order of each kernel.
struct ConvolutionCpu::Kernels {
  using Tag = memory::format_tag;
  using Type = memory::data_type;

  explicit Kernels(const ConvolutionShape& s)
      : forward_kind({dnnl::prop_kind::forward_training, kAlgorithm, source(s, factor(s)),
                      filters(s, factor(s), Tag::any), bias(s), result(s, Type::f32), Strides(s),
                      Before(s), After(s)},
                     engine),
        data_kind({kAlgorithm, source(s, Type::f32), filters(s, factor(s), Tag::any),
                   result(s, factor(s)), Strides(s), Before(s), After(s)},
                  engine, forward_kind),
        weights_kind({kAlgorithm, source(s, factor(s)), filters(s, Type::f32, Tag::any), bias(s),
                      result(s, factor(s)), Strides(s), Before(s), After(s)},
                     engine, forward_kind),
        forward(forward_kind),
        data(data_kind),
        weights(weights_kind),
        source_in(source(s, Type::f32), forward_kind.src_desc(), engine),
        result_in(result(s, Type::f32), data_kind.diff_dst_desc(), engine),
        filters_forward(filters(s, Type::f32, Tag::oihw), forward_kind.weights_desc(), engine),
        filters_data(filters(s, Type::f32, Tag::oihw), data_kind.weights_desc(), engine),
        filters_gradient(weights_kind.diff_weights_desc(), engine),
        filters_out(
            {engine, weights_kind.diff_weights_desc(), engine, filters(s, Type::f32, Tag::oihw)}),
        filter_sums(static_cast<size_t>(s.filters * s.channels * s.height.size * s.width.size)),
        bias_sums(static_cast<size_t>(s.filters)) {}

  static Type factor(const ConvolutionShape& s) {
    return s.precision == Precision::kBf16 ? Type::bf16 : Type::f32;
  }
  static memory::desc source(const ConvolutionShape& s, Type type) {
    return {{s.samples, s.channels, s.height.extent, s.width.extent}, type, Tag::nhwc};
  }
  static memory::desc result(const ConvolutionShape& s, Type type) {
    return {{s.samples, s.filters, s.height.count, s.width.count}, type, Tag::nhwc};
  }
  static memory::desc filters(const ConvolutionShape& s, Type type, Tag tag) {
    return {{s.filters, s.channels, s.height.size, s.width.size}, type, tag};
  }
  static memory::desc bias(const ConvolutionShape& s) { return {{s.filters}, Type::f32, Tag::x}; }

  // Direct, not Winograd: that rounds more and differs with the size of the caches.
  static constexpr dnnl::algorithm kAlgorithm = dnnl::algorithm::convolution_direct;

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::convolution_forward::primitive_desc forward_kind;
  dnnl::convolution_backward_data::primitive_desc data_kind;
  dnnl::convolution_backward_weights::primitive_desc weights_kind;
  dnnl::convolution_forward forward;
  dnnl::convolution_backward_data data;
  dnnl::convolution_backward_weights weights;
  Converter source_in, result_in, filters_forward, filters_data;
  memory filters_gradient;
  dnnl::reorder filters_out;
  std::vector<float> filter_sums, bias_sums;  // Of one pass.
};

ConvolutionCpu::ConvolutionCpu(const ConvolutionShape& shape) : shape_(shape) {}
ConvolutionCpu::~ConvolutionCpu() = default;

Status ConvolutionCpu::Init() {
  return TryOneDnn([&] { kernels_ = std::make_unique<Kernels>(shape_); });
}

Status ConvolutionCpu::Forward(const float* x, const float* weight, const float* bias, float* y) {
  Kernels& k = *kernels_;
  return TryOneDnn([&] {
    k.forward.execute(k.stream, {{DNNL_ARG_SRC, k.source_in.Convert(x, k.stream)},
                                 {DNNL_ARG_WEIGHTS, k.filters_forward.Convert(weight, k.stream)},
                                 {DNNL_ARG_BIAS, ReadOnly(Kernels::bias(shape_), k.engine, bias)},
                                 {DNNL_ARG_DST, memory(k.forward_kind.dst_desc(), k.engine, y)}});
  });
}

Status ConvolutionCpu::Backward(const float* x, const float* weight, const float* dy,
                                bool accumulate, float* dweight, float* dbias, float* dx) {
  Kernels& k = *kernels_;
  // A kernel overwrites; what is to be added comes from memory of our own.
  float* const weight_sums = accumulate ? k.filter_sums.data() : dweight;
  float* const bias_sums = accumulate ? k.bias_sums.data() : dbias;
  const Status status = TryOneDnn([&] {
    const memory::desc filters =
        Kernels::filters(shape_, memory::data_type::f32, memory::format_tag::oihw);
    const memory result_gradient = k.result_in.Convert(dy, k.stream);
    memory dfilters = k.filters_gradient;
    memory summed(filters, k.engine, weight_sums);
    k.weights.execute(k.stream,
                      {{DNNL_ARG_SRC, k.source_in.Convert(x, k.stream)},
                       {DNNL_ARG_DIFF_DST, result_gradient},
                       {DNNL_ARG_DIFF_WEIGHTS, dfilters},
                       {DNNL_ARG_DIFF_BIAS, memory(Kernels::bias(shape_), k.engine, bias_sums)}});
    k.filters_out.execute(k.stream, {{DNNL_ARG_FROM, dfilters}, {DNNL_ARG_TO, summed}});
    if (dx == nullptr) return;
    k.data.execute(k.stream,
                   {{DNNL_ARG_DIFF_DST, result_gradient},
                    {DNNL_ARG_WEIGHTS, k.filters_data.Convert(weight, k.stream)},
                    {DNNL_ARG_DIFF_SRC, memory(k.data_kind.diff_src_desc(), k.engine, dx)}});
  });
  if (!status.ok() || !accumulate) return status;
  for (size_t i = 0; i < k.filter_sums.size(); ++i) dweight[i] += k.filter_sums[i];
  for (size_t i = 0; i < k.bias_sums.size(); ++i) dbias[i] += k.bias_sums[i];
  return status;
}

}  // namespace drover
