#include "server/cli/token_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file_system.h"
#include "common/tls/token_table.h"
#include "server/cli/exit_code.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TokenCommandsTest : public testing::Test {
 protected:
  TokenCommandsTest() : file_(folder_.path() + "/tokens") {}

  // What was printed to stdout.
  std::string Add(const std::string& role, const std::string& name, int expected = kExitOk) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(TokensAddCommand(file_, role, name), expected);
    testing::internal::GetCapturedStderr();
    std::string token = testing::internal::GetCapturedStdout();
    if (!token.empty()) token.pop_back();  // The newline.
    return token;
  }

  TempDirectory folder_;
  const std::string file_;
};

TEST_F(TokenCommandsTest, PrintsATokenOnceAndKeepsItsHash) {
  const std::string token = Add("submitter", "ann");
  const std::string text = FileSystem::Real().ReadWhole(file_, 1 << 20).value();
  EXPECT_THAT(text, Not(HasSubstr(token)));
  TokenTable table(file_);
  ASSERT_TRUE(table.Load().ok());
  EXPECT_EQ(table.Identify(token).value(), (Identity{Role::kSubmitter, "ann"}));
}

TEST_F(TokenCommandsTest, RevokesByName) {
  const std::string ann = Add("viewer", "ann");
  const std::string bob = Add("admin", "bob");
  EXPECT_EQ(Add("admin", "bob", kExitFailed), "");
  EXPECT_EQ(TokensRevokeCommand(file_, "ann"), kExitOk);
  TokenTable table(file_);
  ASSERT_TRUE(table.Load().ok());
  EXPECT_FALSE(table.Identify(ann).ok());
  EXPECT_TRUE(table.Identify(bob).ok());
  testing::internal::CaptureStdout();
  EXPECT_EQ(TokensListCommand(file_), kExitOk);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "admin      bob\n");
}

TEST_F(TokenCommandsTest, SaysWhatIsWrong) {
  Add("worker", "w", kExitUsage);
  Add("root", "r", kExitUsage);
  Add("viewer", "a b", kExitUsage);
  testing::internal::CaptureStderr();
  EXPECT_EQ(TokensListCommand(file_), kExitNotFound);
  EXPECT_EQ(TokensRevokeCommand(file_, "x"), kExitNotFound);
  testing::internal::GetCapturedStderr();
  Add("viewer", "ann");
  testing::internal::CaptureStderr();
  EXPECT_EQ(TokensRevokeCommand(file_, "x"), kExitNotFound);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: \"x\" has no token\n");
}

}  // namespace
}  // namespace drover
