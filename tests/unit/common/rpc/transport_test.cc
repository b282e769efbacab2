#include "common/rpc/transport.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "common/base/bounded_queue.h"
#include "common/base/clock.h"
#include "common/rpc/job_client.h"
#include "common/rpc/session.h"
#include "common/tls/certificate.h"
#include "common/tls/token_table.h"
#include "proto/drover/v1/job.grpc.pb.h"
#include "proto/drover/v1/worker.grpc.pb.h"
#include "tests/unit/common/tls/temp_folder.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kTimeout = std::chrono::seconds(20);  // A machine may be busy.
constexpr unsigned kReloadSeconds = 1;

int64_t Now() { return Clock::Real().UnixMilliseconds() / 1000; }

class Jobs : public v1::JobService::Service {
 public:
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest*,
                        v1::ListJobsResponse*) override {
    callers.TryPush(DescribeCaller(*context, tokens));
    return grpc::Status::OK;
  }
  TokenTable* tokens = nullptr;
  BoundedQueue<std::string> callers{16};
};

class Workers : public v1::WorkerService::Service {
 public:
  grpc::Status Session(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::WorkerOrder, v1::WorkerMessage>*) override {
    return grpc::Status::OK;
  }
};

// A coordinator's port, with an authority and certificates of all roles.
class TransportTest : public testing::Test {
 protected:
  TransportTest() : authority_(NewAuthority("ca")) {}
  ~TransportTest() override { Stop(); }

  KeyPair NewAuthority(const std::string& name) {
    KeyPair authority = MakeAuthority(10, Now()).value();
    folder_.Write(name + ".crt", authority.certificate, 0644);
    return authority;
  }

  TlsFlags Issue(const KeyPair& authority, const std::string& ca, const Identity& identity) {
    const bool server = identity.role == Role::kCoordinator;
    const std::vector<std::string> hosts =
        server ? std::vector<std::string>{"localhost"} : std::vector<std::string>();
    const KeyPair pair = IssueCertificate(authority, {identity, hosts, 1}, Now()).value();
    TlsFlags flags;
    const std::string stem = ca + "-" + RoleName(identity.role);
    flags.certificate = folder_.Write(stem + ".crt", pair.certificate, 0644);
    flags.key = folder_.Write(stem + ".key", pair.key);
    flags.authority = folder_.path() + "/" + ca + ".crt";
    return flags;
  }
  TlsFlags Of(Role role) { return Issue(authority_, "ca", {role, "x"}); }

  void Serve(const ServerAccess& access = {}) {
    Result<Transport> transport =
        Transport::Open(Of(Role::kCoordinator), {Role::kCoordinator}, "", kReloadSeconds);
    ASSERT_TRUE(transport.ok()) << transport.status().ToString();
    jobs_.tokens = access.tokens;
    ServerAccess counting = access;
    counting.on_refused = [this](AuthFailure failure) { failures_.TryPush(failure); };
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, ServerKind::kControl);
    builder.AddListeningPort("127.0.0.1:0", transport.value().MakeServerCredentials(counting),
                             &port_);
    builder.RegisterService(&jobs_);
    builder.RegisterService(&workers_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void Stop() {
    if (server_ != nullptr) server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
    server_ = nullptr;
  }
  std::string address() const { return "localhost:" + std::to_string(port_); }

  Status ListWith(const TlsFlags& flags, const std::string& token_file = "") {
    const Result<Transport> transport = Transport::Open(flags, TlsNeeds(), token_file);
    if (!transport.ok()) return transport.status();
    JobClient client(address(), kTimeout, transport.value().channels());
    return client.List().status();
  }
  Status SessionWith(const TlsFlags& flags) {
    const Transport transport = Transport::Open(flags, TlsNeeds()).value();
    const auto stub = v1::WorkerService::NewStub(
        MakeChannel(address(), ChannelKind::kControl, transport.channels()));
    grpc::ClientContext context;
    return FromGrpc(stub->Session(&context)->Finish());
  }

  TempFolder folder_;
  KeyPair authority_;
  Jobs jobs_;
  Workers workers_;
  BoundedQueue<AuthFailure> failures_{64};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(TransportTest, RolesOfCertificatesDecide) {
  Serve();
  EXPECT_EQ(ListWith(Of(Role::kViewer)).ToString(), "OK");
  EXPECT_THAT(jobs_.callers.Pop().value(), HasSubstr("viewer/x at ipv"));
  EXPECT_EQ(SessionWith(Of(Role::kWorker)).ToString(), "OK");

  const Status worker = ListWith(Of(Role::kWorker));
  EXPECT_EQ(worker.code(), Code::kPermissionDenied);
  EXPECT_EQ(worker.message(),
            "worker/x may not call ListJobs: it needs the role viewer, submitter or admin");
  const Status user = SessionWith(Of(Role::kAdmin));
  EXPECT_EQ(user.code(), Code::kPermissionDenied);
  EXPECT_THAT(user.message(), HasSubstr("admin/x may not call Session: it needs a certificate"));
  EXPECT_EQ(failures_.Pop(), AuthFailure::kForbidden);
}

TEST_F(TransportTest, StrangersGetNoAnswer) {
  Serve();
  TlsFlags nobody;
  nobody.authority = folder_.path() + "/ca.crt";
  EXPECT_EQ(ListWith(nobody).code(), Code::kUnavailable);
  // A certificate of another authority, by one who knows ours.
  TlsFlags foreign = Issue(NewAuthority("foreign"), "foreign", {Role::kAdmin, "x"});
  EXPECT_EQ(ListWith(foreign).code(), Code::kUnavailable);  // He does not trust us either.
  const KeyPair both = {authority_.certificate + NewAuthority("other").certificate, ""};
  foreign.authority = folder_.Write("both.crt", both.certificate + foreign.certificate, 0644);
  EXPECT_FALSE(ListWith(foreign).ok());
  JobClient plain(address(), kTimeout);
  EXPECT_EQ(plain.List().status().code(), Code::kUnavailable);
  EXPECT_EQ(jobs_.callers.PopFor(Duration(0)), std::nullopt);
}

TEST_F(TransportTest, TheServersNameIsVerified) {
  Serve();
  const Transport transport = Transport::Open(Of(Role::kViewer), TlsNeeds()).value();
  // The certificate names localhost only.
  JobClient client("127.0.0.1:" + std::to_string(port_), kTimeout, transport.channels());
  const Status status = client.List().status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("Hostname Verification Check failed"));
}

TEST_F(TransportTest, UsersMayShowATokenInstead) {
  const std::string token = NewToken().value();
  TokenTable tokens(
      folder_.Write("tokens", FormatTokens({{{Role::kViewer, "ann"}, HashToken(token)}})));
  ASSERT_TRUE(tokens.Load().ok());
  Serve({&tokens, nullptr});
  TlsFlags user;
  user.authority = folder_.path() + "/ca.crt";

  EXPECT_EQ(ListWith(user, folder_.Write("ann", token + "\n")).ToString(), "OK");
  EXPECT_THAT(jobs_.callers.Pop().value(), HasSubstr("viewer/ann at ipv"));

  const Status none = ListWith(user);
  EXPECT_EQ(none.code(), Code::kUnauthenticated);
  EXPECT_THAT(none.message(), HasSubstr("--token-file"));
  EXPECT_EQ(failures_.Pop(), AuthFailure::kNoCredentials);
  testing::internal::CaptureStderr();
  const Status bad = ListWith(user, folder_.Write("bad", NewToken().value()));
  EXPECT_EQ(bad.code(), Code::kUnauthenticated);
  EXPECT_THAT(bad.message(), HasSubstr("nobody's token"));
  EXPECT_EQ(failures_.Pop(), AuthFailure::kBadToken);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("drover_")));
  // A token does not make a node.
  EXPECT_EQ(SessionWith(user).code(), Code::kUnauthenticated);
  // Revoked.
  folder_.Write("tokens", FormatTokens({}));
  EXPECT_EQ(ListWith(user, folder_.path() + "/ann").code(), Code::kUnauthenticated);
}

TEST_F(TransportTest, ChangedCertificatesAreUsedWithoutARestart) {
  Serve();
  ASSERT_TRUE(ListWith(Of(Role::kViewer)).ok());
  // Another authority for everybody, in the same files.
  authority_ = NewAuthority("ca");
  Of(Role::kCoordinator);
  const Instant deadline = Clock::Real().Now() + std::chrono::seconds(60);
  Status status = Status(Code::kUnavailable, "not asked yet");
  while (!status.ok() && Clock::Real().Now() < deadline) {
    status = ListWith(Of(Role::kViewer));
    if (!status.ok()) SleepFor(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(TransportReachTest, OtherMachinesNeedTlsOrAnExplicitFlag) {
  TlsFlags insecure;
  insecure.insecure = true;
  const Transport plain = Transport::Open(TlsFlags(), TlsNeeds()).value();
  const Transport open = Transport::Open(insecure, TlsNeeds()).value();
  for (const char* inside : {"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/tmp/a"}) {
    EXPECT_TRUE(plain.CheckReach("--listen", inside).ok());
    EXPECT_TRUE(open.CheckReach("--listen", inside).ok());
  }
  for (const char* outside : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host:1"}) {
    const Status status = plain.CheckReach("--listen", outside);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr(std::string("--listen \"") + outside));
    EXPECT_THAT(status.message(), HasSubstr("--tls-cert"));
    EXPECT_TRUE(open.CheckReach("--listen", outside).ok());
  }
  EXPECT_STREQ(plain.Name(), "off");
  EXPECT_STREQ(open.Name(), "INSECURE");
}

TEST(TransportOpenTest, ATokenNeedsTls) {
  EXPECT_THAT(Transport::Open(TlsFlags(), TlsNeeds(), "file").status().message(),
              HasSubstr("never sent in plain text"));
}

TEST_F(TransportTest, WhoCallsTooOftenIsToldToWait) {
  Serve();
  const Transport transport = Transport::Open(Of(Role::kSubmitter), TlsNeeds()).value();
  const auto stub =
      v1::JobService::NewStub(MakeChannel(address(), ChannelKind::kUser, transport.channels()));
  Status status;
  int calls = 0;
  // One in a second, after ten at once; the service behind has no such method.
  for (; calls < 1000 && status.code() != Code::kResourceExhausted; ++calls) {
    grpc::ClientContext context;
    v1::CreateJobResponse response;
    status = FromGrpc(stub->CreateJob(&context, {}, &response));
  }
  EXPECT_GT(calls, 10);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("submitter/x calls too often"));
  EXPECT_EQ(failures_.Pop(), AuthFailure::kTooMany);
  EXPECT_TRUE(ListWith(Of(Role::kSubmitter)).ok()) << "other calls have a rate of their own";
}

}  // namespace
}  // namespace drover
