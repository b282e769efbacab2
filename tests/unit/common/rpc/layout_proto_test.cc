#include "common/rpc/layout_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace drover {
namespace {

using ::testing::HasSubstr;

Layout TwoTensors() {
  return Layout::Make({{"fc.weight", {3, 4}, {InitRule::Kind::kUniform, 0.5f}},
                       {"fc.bias", {3}, {InitRule::Kind::kConstant, -1.0f}}})
      .value();
}

TEST(LayoutProtoTest, ComesBackWithTheSameTensorsAndHash) {
  const Layout layout = TwoTensors();

  const Result<Layout> again = LayoutFromProto(LayoutToProto(layout));

  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again.value().tensors(), layout.tensors());
  EXPECT_EQ(again.value().hash(), layout.hash());
}

TEST(LayoutProtoTest, RefusesAnInitRuleOfAnotherRelease) {
  v1::Layout message = LayoutToProto(TwoTensors());
  message.mutable_tensors(1)->mutable_init()->set_kind(static_cast<v1::InitRule::Kind>(9));

  const Status status = LayoutFromProto(message).status();

  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("\"fc.bias\": init rule is 9"));
}

TEST(LayoutProtoTest, RefusesAnInitRuleThatIsNotSet) {
  v1::Layout message = LayoutToProto(TwoTensors());
  message.mutable_tensors(0)->clear_init();

  EXPECT_EQ(LayoutFromProto(message).status().code(), Code::kInvalidArgument);
}

TEST(LayoutProtoTest, RefusesWhatLayoutMakeRefuses) {
  v1::Layout no_tensors;
  v1::Layout zero_extent = LayoutToProto(TwoTensors());
  zero_extent.mutable_tensors(0)->set_shape(1, 0);
  v1::Layout not_finite = LayoutToProto(TwoTensors());
  not_finite.mutable_tensors(0)->mutable_init()->set_value(std::numeric_limits<float>::infinity());

  for (const v1::Layout& message : {no_tensors, zero_extent, not_finite}) {
    EXPECT_EQ(LayoutFromProto(message).status().code(), Code::kInvalidArgument)
        << message.ShortDebugString();
  }
}

}  // namespace
}  // namespace drover
