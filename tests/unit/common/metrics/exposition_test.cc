#include "common/metrics/exposition.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Sends `request` and returns all that comes back until the server closes.
std::string Ask(int port, const std::string& request) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      send(connection, request.data(), request.size(), 0) > 0) {
    char buffer[4096];
    for (ssize_t got; (got = recv(connection, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(got));
    }
  }
  close(connection);
  return answer;
}

std::string Get(int port, const std::string& path) {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
}

class ExpositionTest : public ::testing::Test {
 protected:
  ExpositionTest() : registry_(MetricRole::kShard) {
    Result<std::unique_ptr<MetricsServer>> started =
        MetricsServer::Start("127.0.0.1:0", registry_, [this] {
          return ready_ ? Status() : Status(Code::kUnavailable, "waits for its coordinator");
        });
    if (started.ok()) server_ = std::move(started).value();
  }

  MetricRegistry registry_;
  std::atomic<bool> ready_ = true;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(ExpositionTest, ServesTheMetricsOnAFreePort) {
  ASSERT_NE(server_, nullptr);
  ASSERT_GT(server_->port(), 0);
  registry_.GaugeOf(Metric::kShardVersion, {"job1", "0"}).Set(7);

  const std::string answer = Get(server_->port(), "/metrics");

  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("drover_shard_version{shard=\"0\",train_job=\"job1\"} 7\n"));
}

TEST_F(ExpositionTest, ReadinessFollowsTheProcessAndLivenessDoesNot) {
  ASSERT_NE(server_, nullptr);
  EXPECT_THAT(Get(server_->port(), "/readyz"), StartsWith("HTTP/1.1 200 OK\r\n"));

  ready_ = false;

  const std::string answer = Get(server_->port(), "/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("waits for its coordinator"));
  EXPECT_THAT(Get(server_->port(), "/livez"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ExpositionTest, ServesNothingElse) {
  ASSERT_NE(server_, nullptr);
  EXPECT_THAT(Get(server_->port(), "/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get(server_->port(), "/etc/passwd"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get(server_->port(), "/metrics/more"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(
      Ask(server_->port(), "POST /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"),
      StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(server_->port(), "HEAD /livez HTTP/1.1\r\nHost: t\r\n\r\n"),
              ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(Ask(server_->port(), "no http at all\r\n\r\n"), HasSubstr("400 Bad Request"));
}

TEST_F(ExpositionTest, PagesOfTheProcessAreServedBesideTheMetrics) {
  const std::vector<HttpPage> pages = {
      {"/",
       [](const std::string&) {
         return HttpAnswer{"200 OK", "text/html", "A: b\r\n", "hi"};
       }},
      {"/api/x", [](const std::string& query) {
         return HttpAnswer{"503 Service Unavailable", "text/plain", "", "asked " + query};
       }}};
  const Result<std::unique_ptr<MetricsServer>> server = MetricsServer::Start(
      "127.0.0.1:0", registry_, [] { return Status(); }, pages);
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  const int port = server.value()->port();

  const auto get = [port](const std::string& path, const std::string& host = "127.0.0.1:1") {
    return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  const std::string root = get("/");
  EXPECT_THAT(root, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"));
  EXPECT_THAT(root, HasSubstr("\r\nCache-Control: no-store\r\n"));
  EXPECT_THAT(root, HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(root, HasSubstr("\r\nA: b\r\n"));
  EXPECT_THAT(root, ::testing::EndsWith("\r\n\r\nhi"));
  EXPECT_THAT(get("/api/x?job=7&more"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(get("/api/x?job=7&more"), ::testing::EndsWith("asked job=7&more"));
  EXPECT_THAT(get("/metrics"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(get("/api/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(get("/api/x/y"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(port, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(port, "HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), ::testing::EndsWith("\r\n\r\n"));
  // A site whose name leads here reads nothing but what any scraper may.
  EXPECT_THAT(get("/", "evil.example:80"), StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(get("/api/x", "127.0.0.1.evil.example"), StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(get("/", "localhost:9464"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ExpositionTest, BadAddressesAreRefused) {
  for (const char* address : {"", "9464", ":9464", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:80s",
                              "127.0.0.1:80,90", "example.org:80", "127.0.0.1:-1", "a b:1"}) {
    EXPECT_EQ(MetricsServer::Start(address, registry_, [] { return Status(); }).status().code(),
              Code::kInvalidArgument)
        << address;
  }
}

TEST_F(ExpositionTest, ATakenPortIsNamed) {
  ASSERT_NE(server_, nullptr);
  const std::string taken = "127.0.0.1:" + std::to_string(server_->port());

  const Status status = MetricsServer::Start(taken, registry_, [] { return Status(); }).status();

  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr(taken));
}

}  // namespace
}  // namespace drover
