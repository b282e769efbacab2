#include "common/config/flags.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <vector>

namespace drover {
namespace {

std::optional<int> Parse(CLI::App* app, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  const std::optional<int> exit_code =
      ParseDaemonFlags(app, static_cast<int>(arguments.size()), arguments.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return exit_code;
}

struct Daemon {
  CLI::App app;
  std::string listen = "127.0.0.1:50051";
  std::string coordinator;
  std::string metrics = "127.0.0.1:9464";
  std::string name;
  LogOptions log;
  TlsFlags tls;

  Daemon() {
    AddListenFlag(&app, &listen);
    AddCoordinatorFlag(&app, &coordinator);
    AddMetricsFlag(&app, &metrics);
    AddNameFlag(&app, &name);
    AddLogFlags(&app, &log);
    AddTlsFlags(&app, &tls);
  }
};

TEST(FlagsTest, ReadsWhatIsGivenAndKeepsDefaults) {
  Daemon daemon;

  const std::optional<int> exit_code =
      Parse(&daemon.app, {"--coordinator", "host:50050", "--metrics", "", "--log-level", "debug",
                          "--log-format", "json"});

  EXPECT_EQ(exit_code, std::nullopt);
  EXPECT_EQ(daemon.coordinator, "host:50050");
  EXPECT_EQ(daemon.listen, "127.0.0.1:50051");
  EXPECT_EQ(daemon.metrics, "");
  EXPECT_EQ(daemon.log.level, LogLevel::kDebug);
  EXPECT_EQ(daemon.log.format, LogFormat::kJson);
}

TEST(FlagsTest, BadConfigurationExitsWith78) {
  for (const std::vector<const char*>& arguments :
       std::vector<std::vector<const char*>>{{},
                                             {"--coordinator", "host"},
                                             {"--coordinator", "host:70000"},
                                             {"--coordinator", "h:1", "--listen", "x"},
                                             {"--coordinator", "h:1", "--log-level", "loud"},
                                             {"--coordinator", "h:1", "--log-format", "xml"},
                                             {"--coordinator", "h:1", "--name", "a b"},
                                             {"--coordinator", "h:1", "--unknown"}}) {
    Daemon daemon;
    EXPECT_EQ(Parse(&daemon.app, arguments), 78);
  }
}

TEST(FlagsTest, TlsIsOffUntilAFileIsNamed) {
  Daemon plain, tls;
  EXPECT_EQ(Parse(&plain.app, {"--coordinator", "h:1", "--insecure"}), std::nullopt);
  EXPECT_FALSE(plain.tls.tls());
  EXPECT_TRUE(plain.tls.insecure);

  EXPECT_EQ(Parse(&tls.app, {"--coordinator", "h:1", "--tls-cert", "a.crt", "--tls-key", "a.key",
                             "--tls-ca", "ca.crt"}),
            std::nullopt);
  EXPECT_TRUE(tls.tls.tls());
  EXPECT_FALSE(tls.tls.insecure);
  EXPECT_EQ(tls.tls.certificate, "a.crt");
  EXPECT_EQ(tls.tls.key, "a.key");
  EXPECT_EQ(tls.tls.authority, "ca.crt");
}

TEST(FlagsTest, HelpExitsWith0) {
  Daemon daemon;
  EXPECT_EQ(Parse(&daemon.app, {"--help"}), 0);
}

TEST(CheckAddressTest, TakesHostAndPort) {
  EXPECT_TRUE(CheckAddress("127.0.0.1:0").ok());
  EXPECT_TRUE(CheckAddress("[::1]:50050").ok());
  EXPECT_TRUE(CheckAddress("drover-coordinator.train.svc:50050").ok());
  EXPECT_TRUE(CheckAddress("unix:/run/drover.sock").ok());
}

TEST(CheckAddressTest, RefusesTheRest) {
  for (const char* address : {"", ":", "host", "host:", ":50050", "host:-1", "host:65536", "host:x",
                              "::1:50050", "unix:"}) {
    EXPECT_EQ(CheckAddress(address).code(), Code::kInvalidArgument) << address;
  }
}

}  // namespace
}  // namespace drover
