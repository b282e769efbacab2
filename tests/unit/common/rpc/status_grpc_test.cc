#include "common/rpc/status_grpc.h"

#include <gtest/gtest.h>

#include <string>

namespace drover {
namespace {

TEST(StatusGrpcTest, EveryCodeComesBack) {
  for (int code = 1; code <= 16; ++code) {
    const Status status(static_cast<Code>(code), "step 7: why");
    const Status back = FromGrpc(ToGrpc(status));
    EXPECT_EQ(back.code(), status.code());
    EXPECT_EQ(back.message(), status.message());
  }
  EXPECT_TRUE(FromGrpc(ToGrpc(Status())).ok());
}

TEST(StatusGrpcTest, UnknownCodesBecomeUnknown) {
  const Status status = FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(20), "odd"));

  EXPECT_EQ(status.code(), Code::kUnknown);
  EXPECT_EQ(status.message(), "odd");
}

TEST(StatusGrpcTest, LongMessagesAreCutToFitMetadata) {
  const grpc::Status status = ToGrpc(Status(Code::kInternal, std::string(100000, 'x')));

  EXPECT_EQ(status.error_message().size(), kStatusMessageBytesMax);
  EXPECT_TRUE(status.error_message().ends_with("x..."));
}

}  // namespace
}  // namespace drover
