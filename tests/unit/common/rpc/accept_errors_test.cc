#include "common/rpc/accept_errors.h"

#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include "common/base/logging.h"

namespace drover {
namespace {

class AcceptErrorsTest : public testing::Test {
 protected:
  AcceptErrorsTest() {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // As once gRPC is in use.
    ListenToGrpcLog();
  }
  ~AcceptErrorsTest() override { gpr_set_log_function(nullptr); }  // gRPC's own again.
};

TEST_F(AcceptErrorsTest, ARefusedConnectionIsToldOnce) {
  EXPECT_FALSE(TakeAcceptError());
  gpr_log(GPR_ERROR, "Failed accept4: %s", "Too many open files");
  EXPECT_TRUE(TakeAcceptError());
  EXPECT_FALSE(TakeAcceptError());
}

TEST_F(AcceptErrorsTest, OtherLinesOfGrpcAreNoRefusal) {
  gpr_log(GPR_ERROR, "SSL_ERROR_SSL");
  EXPECT_FALSE(TakeAcceptError());
}

TEST_F(AcceptErrorsTest, AFloodOfLinesIsCutShort) {
  const long before = LoggedCount(LogLevel::kWarning);
  for (int i = 0; i < 100 * kGrpcLinesPerSecond; ++i) gpr_log(GPR_ERROR, "line %d", i);
  EXPECT_LT(LoggedCount(LogLevel::kWarning) - before, 50 * kGrpcLinesPerSecond);
}

}  // namespace
}  // namespace drover
