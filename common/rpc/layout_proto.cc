#include "common/rpc/layout_proto.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/base/quote.h"

namespace drover {
namespace {

struct KindRow {
  InitRule::Kind kind;
  v1::InitRule::Kind proto;
};
constexpr KindRow kKinds[] = {
    {InitRule::Kind::kConstant, v1::InitRule::KIND_CONSTANT},
    {InitRule::Kind::kUniform, v1::InitRule::KIND_UNIFORM},
    {InitRule::Kind::kNormal, v1::InitRule::KIND_NORMAL},
    {InitRule::Kind::kConstantRange, v1::InitRule::KIND_CONSTANT_RANGE},
};

v1::InitRule::Kind KindToProto(InitRule::Kind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.proto;
  }
  return v1::InitRule::KIND_UNSPECIFIED;
}

Result<InitRule> InitFromProto(const v1::TensorSpec& tensor) {
  const v1::InitRule& init = tensor.init();
  for (const KindRow& row : kKinds) {
    if (row.proto == init.kind()) {
      return InitRule{row.kind, init.value(), init.begin(), init.end()};
    }
  }
  return Status(
      Code::kInvalidArgument,
      fmt::format("tensor {}: init rule is {}, expected constant (1), uniform (2), normal "
                  "(3) or constant range (4): run the same release everywhere",
                  Quote(tensor.name()), static_cast<int>(init.kind())));
}

}  // namespace

v1::Layout LayoutToProto(const Layout& layout) {
  v1::Layout message;
  message.mutable_tensors()->Reserve(static_cast<int>(layout.tensors().size()));
  for (const TensorSpec& tensor : layout.tensors()) {
    v1::TensorSpec* out = message.add_tensors();
    out->set_name(tensor.name);
    for (const int64_t extent : tensor.shape) out->add_shape(extent);
    out->mutable_init()->set_kind(KindToProto(tensor.init.kind));
    out->mutable_init()->set_value(tensor.init.value);
    out->mutable_init()->set_begin(tensor.init.begin);
    out->mutable_init()->set_end(tensor.init.end);
  }
  return message;
}

Result<Layout> LayoutFromProto(const v1::Layout& message) {
  std::vector<TensorSpec> tensors;
  tensors.reserve(static_cast<size_t>(message.tensors_size()));
  for (const v1::TensorSpec& tensor : message.tensors()) {
    Result<InitRule> init = InitFromProto(tensor);
    if (!init.ok()) return init.status();
    tensors.push_back(
        {tensor.name(), {tensor.shape().begin(), tensor.shape().end()}, init.value()});
  }
  return Layout::Make(std::move(tensors));
}

}  // namespace drover
