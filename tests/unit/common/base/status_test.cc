#include "common/base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace drover {
namespace {

TEST(StatusTest, DefaultIsOk) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().ToString(), "OK");
  EXPECT_EQ(Status().Annotate("reading").ToString(), "OK");
}

TEST(StatusTest, ErrorCarriesCodeAndMessage) {
  const Status status(Code::kNotFound, "no such job");

  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.ToString(), "NOT_FOUND: no such job");
  EXPECT_EQ(status.Annotate("describe").ToString(), "NOT_FOUND: describe: no such job");
}

// Numbers and names from grpc/include/grpc/impl/codegen/status.h.
TEST(StatusTest, CodesHaveTheNumbersAndNamesOfGrpc) {
  const char* const names[] = {"OK",
                               "CANCELLED",
                               "UNKNOWN",
                               "INVALID_ARGUMENT",
                               "DEADLINE_EXCEEDED",
                               "NOT_FOUND",
                               "ALREADY_EXISTS",
                               "PERMISSION_DENIED",
                               "RESOURCE_EXHAUSTED",
                               "FAILED_PRECONDITION",
                               "ABORTED",
                               "OUT_OF_RANGE",
                               "UNIMPLEMENTED",
                               "INTERNAL",
                               "UNAVAILABLE",
                               "DATA_LOSS",
                               "UNAUTHENTICATED"};
  for (int number = 0; number < 17; ++number) {
    EXPECT_STREQ(CodeName(static_cast<Code>(number)), names[number]);
  }
  EXPECT_STREQ(CodeName(static_cast<Code>(99)), "UNKNOWN");
}

Status FailIf(bool fail, int* reached) {
  DROVER_RETURN_IF_ERROR(fail ? Status(Code::kAborted, "early") : Status());
  ++*reached;
  return Status();
}

TEST(StatusTest, ReturnIfErrorLeavesOnlyOnError) {
  int reached = 0;

  EXPECT_EQ(FailIf(true, &reached).code(), Code::kAborted);
  EXPECT_EQ(reached, 0);
  EXPECT_TRUE(FailIf(false, &reached).ok());
  EXPECT_EQ(reached, 1);
}

TEST(ResultTest, HoldsAValueThatCanBeMovedOut) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(3));

  ASSERT_TRUE(result.ok());
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(ResultTest, HoldsTheReasonThatThereIsNoValue) {
  const Result<int> result = Status(Code::kDataLoss, "bad checksum");

  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.status().ToString(), "DATA_LOSS: bad checksum");
}

TEST(ResultDeathTest, ValueOfAnErrorIsABrokenPromise) {
  const Result<int> result = Status(Code::kDataLoss, "bad checksum");

  EXPECT_DEATH(static_cast<void>(result.value()), "broken promise: ok\\(\\)");
}

TEST(StatusDeathTest, ErrorWithoutErrorCodeIsABrokenPromise) {
  EXPECT_DEATH(Status(Code::kOk, "fine"), "broken promise");
}

}  // namespace
}  // namespace drover
