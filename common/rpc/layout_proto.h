// Layouts on the wire, and a layout from a peer checked before anything is made of it. Thread-safe:
// functions only.

#ifndef DROVER_COMMON_RPC_LAYOUT_PROTO_H_
#define DROVER_COMMON_RPC_LAYOUT_PROTO_H_

#include "common/base/status.h"
#include "common/tensor/layout.h"
#include "proto/drover/v1/model.pb.h"

namespace drover {

v1::Layout LayoutToProto(const Layout& layout);

// kInvalidArgument naming the tensor when Layout::Make refuses it or its init rule is unknown.
Result<Layout> LayoutFromProto(const v1::Layout& message);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_LAYOUT_PROTO_H_
