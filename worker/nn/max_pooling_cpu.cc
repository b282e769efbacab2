#include "worker/nn/max_pooling.h"
#include "worker/nn/onednn_cpu.h"

namespace drover {

using dnnl::memory;

struct MaxPoolingCpu::Kernels {
  using Tag = memory::format_tag;
  using Type = memory::data_type;

  explicit Kernels(const MaxPoolingShape& s)
      : source({s.samples, s.channels, s.height.extent, s.width.extent}, Type::f32, Tag::nhwc),
        result({s.samples, s.channels, s.height.count, s.width.count}, Type::f32, Tag::nhwc),
        forward_kind({dnnl::prop_kind::forward_training, dnnl::algorithm::pooling_max, source,
                      result, memory::dims{s.height.stride, s.width.stride},
                      memory::dims{s.height.size, s.width.size},
                      memory::dims{s.height.before, s.width.before},
                      memory::dims{s.height.after, s.width.after}},
                     engine),
        backward_kind({dnnl::algorithm::pooling_max, source, result,
                       memory::dims{s.height.stride, s.width.stride},
                       memory::dims{s.height.size, s.width.size},
                       memory::dims{s.height.before, s.width.before},
                       memory::dims{s.height.after, s.width.after}},
                      engine, forward_kind),
        forward(forward_kind),
        backward(backward_kind),
        largest(forward_kind.workspace_desc(), engine) {}

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  memory::desc source, result;
  dnnl::pooling_forward::primitive_desc forward_kind;
  dnnl::pooling_backward::primitive_desc backward_kind;
  dnnl::pooling_forward forward;
  dnnl::pooling_backward backward;
  memory largest;  // Where each window's largest value stands.
};

MaxPoolingCpu::MaxPoolingCpu(const MaxPoolingShape& shape) : shape_(shape) {}
MaxPoolingCpu::~MaxPoolingCpu() = default;

Status MaxPoolingCpu::Init() {
  return TryOneDnn([&] { kernels_ = std::make_unique<Kernels>(shape_); });
}

Status MaxPoolingCpu::Forward(const float* x, float* y) {
  Kernels& k = *kernels_;
  return TryOneDnn([&] {
    k.forward.execute(k.stream, {{DNNL_ARG_SRC, ReadOnly(k.source, k.engine, x)},
                                 {DNNL_ARG_DST, memory(k.result, k.engine, y)},
                                 {DNNL_ARG_WORKSPACE, k.largest}});
  });
}

Status MaxPoolingCpu::Backward(const float* dy, float* dx) {
  Kernels& k = *kernels_;
  return TryOneDnn([&] {
    k.backward.execute(k.stream, {{DNNL_ARG_DIFF_DST, ReadOnly(k.result, k.engine, dy)},
                                  {DNNL_ARG_DIFF_SRC, memory(k.source, k.engine, dx)},
                                  {DNNL_ARG_WORKSPACE, k.largest}});
  });
}

}  // namespace drover
