#include "server/cli/certs_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/tls/certificate.h"
#include "common/tls/tls_flags.h"
#include "server/cli/exit_code.h"
#include "tests/unit/server/cli/temp_directory.h"

namespace drover {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

int Quietly(int (*command)(const CertsOptions&), const CertsOptions& options,
            std::string* errors = nullptr) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = command(options);
  testing::internal::GetCapturedStdout();
  const std::string text = testing::internal::GetCapturedStderr();
  if (errors != nullptr) *errors = text;
  return code;
}

class CertsCommandsTest : public testing::Test {
 protected:
  CertsCommandsTest() { options_.directory = folder_.path() + "/certs"; }

  std::string Path(const std::string& name) { return options_.directory + "/" + name; }
  Result<TlsFacts> Check(const std::string& name, std::optional<Role> role) {
    TlsFlags flags;
    flags.certificate = Path(name + ".crt");
    flags.key = Path(name + ".key");
    flags.authority = Path("ca.crt");
    return CheckTlsFiles(flags, {role}, Clock::Real().UnixMilliseconds() / 1000);
  }
  CertificateFacts FactsOf(const std::string& name) {
    return ReadCertificate(FileSystem::Real().ReadWhole(Path(name), 1 << 20).value()).value();
  }

  TempDirectory folder_;
  CertsOptions options_;
};

TEST_F(CertsCommandsTest, InitMakesAPairPerRoleThatProgramsAccept) {
  options_.hosts = {"coordinator.example", "10.0.0.7"};
  ASSERT_EQ(Quietly(CertsInitCommand, options_), kExitOk);

  for (const auto& [name, role] : {std::pair<const char*, Role>{"coordinator", Role::kCoordinator},
                                   {"shard", Role::kShard},
                                   {"worker", Role::kWorker},
                                   {"user", Role::kSubmitter},
                                   {"admin", Role::kAdmin}}) {
    const Result<TlsFacts> facts = Check(name, role);
    ASSERT_TRUE(facts.ok()) << facts.status().ToString();
    EXPECT_EQ(facts.value().identity, (Identity{role, name}));
    struct stat found = {};
    ASSERT_EQ(stat(Path(std::string(name) + ".key").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600u);
  }
  EXPECT_THAT(FactsOf("shard.crt").hosts, Contains("10.0.0.7"));
  EXPECT_THAT(FactsOf("coordinator.crt").hosts, Contains("coordinator.example"));
  EXPECT_THAT(FactsOf("worker.crt").hosts, IsEmpty());
}

TEST_F(CertsCommandsTest, InitNeverOverwrites) {
  ASSERT_TRUE(FileSystem::Real().MakeDirectories(options_.directory).ok());
  { auto file = FileSystem::Real().Create(Path("user.key"), 0); }
  std::string errors;

  EXPECT_EQ(Quietly(CertsInitCommand, options_, &errors), kExitFailed);

  EXPECT_THAT(errors, HasSubstr("user.key\" exists\nhint: certificates are never overwritten"));
  EXPECT_EQ(FileSystem::Real().List(options_.directory).value(),
            std::vector<std::string>{"user.key"});
}

TEST_F(CertsCommandsTest, IssueAddsOneMore) {
  ASSERT_EQ(Quietly(CertsInitCommand, options_), kExitOk);
  CertsOptions more = options_;
  more.role = "viewer";
  more.name = "ann";
  more.out = folder_.path() + "/ann";
  ASSERT_EQ(Quietly(CertsIssueCommand, more), kExitOk);
  EXPECT_EQ(FileSystem::Real().List(more.out).value(),
            (std::vector<std::string>{"ann.crt", "ann.key", "ca.crt"}));
  EXPECT_EQ(Quietly(CertsIssueCommand, more), kExitFailed);

  more.out.clear();
  ASSERT_EQ(Quietly(CertsIssueCommand, more), kExitOk);
  EXPECT_EQ(Check("ann", std::nullopt).value().identity, (Identity{Role::kViewer, "ann"}));
}

TEST_F(CertsCommandsTest, IssueSaysWhatIsWrong) {
  CertsOptions options = options_;
  options.role = "worker";
  options.name = "w";
  std::string errors;
  EXPECT_EQ(Quietly(CertsIssueCommand, options, &errors), kExitNotFound);
  EXPECT_THAT(errors, HasSubstr("certs init"));
  ASSERT_EQ(Quietly(CertsInitCommand, options_), kExitOk);
  for (const char* name : {"ca", "", "../x", "a/b"}) {
    options.name = name;
    EXPECT_EQ(Quietly(CertsIssueCommand, options), kExitUsage) << name;
  }
  options.name = "w";
  options.role = "root";
  EXPECT_EQ(Quietly(CertsIssueCommand, options, &errors), kExitUsage);
  EXPECT_THAT(errors, HasSubstr("role \"root\""));
  options.role = "shard";
  options.hosts = {"host:1"};
  EXPECT_EQ(Quietly(CertsIssueCommand, options), kExitUsage);
}

}  // namespace
}  // namespace drover
