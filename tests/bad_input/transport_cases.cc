// T: who speaks badly below the level of messages. The control against strangers is the handshake:
// without a certificate of our authority nobody reaches HTTP/2 (01 to 05, 09, 10), which is also
// what keeps the weaknesses of gRPC 1.51.1 from them (15, 16). gRPC tells a server nothing of
// failed handshakes, so they are neither counted nor logged by Drover. Cases 13 to 27 are sent by
// one who has a certificate.

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "common/rpc/channel.h"
#include "proto/drover/v1/job.pb.h"
#include "proto/drover/v1/worker.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/gzip.h"
#include "tests/bad_input/http2.h"
#include "tests/bad_input/world.h"
#include "tests/unit/server/coordinator/coordinator_fixture.h"

namespace drover::bad_input {
namespace {

constexpr Duration kSoon = std::chrono::seconds(10);
constexpr Duration kTlsPatience = std::chrono::seconds(10);

// ---- Handshakes.

// Whether one with this choice is let in: whether the server begins HTTP/2 with him.
bool IsLetIn(int port, const TlsChoice& choice) {
  RawConnection connection(port);
  if (!connection.Handshake(choice, kTlsPatience)) return false;
  return Http2Client(std::move(connection)).Start();
}

void ExpectTurnedAway(World& world, const TlsChoice& choice) {
  EXPECT_FALSE(IsLetIn(world.coordinator().port(), choice)) << "by the coordinator";
  EXPECT_FALSE(IsLetIn(world.shard_port(), choice)) << "by the shard";
}

void PlainBytes(World& world) {
  for (const int port : {world.coordinator().port(), world.shard_port()}) {
    RawConnection connection(port);
    connection.Write(std::string(kPreface) + kCanary, kSoon);
    EXPECT_TRUE(connection.AwaitClose(kSoon));
  }
}

void NoCertificate(World& world) { ExpectTurnedAway(world, {}); }

void ForeignAuthority(World& world) {
  ExpectTurnedAway(world, {world.pki().IssueForeign({Role::kAdmin, "x"})});
}

void Expired(World& world) {
  ExpectTurnedAway(world, {world.pki().IssueAt({Role::kAdmin, "x"}, -3 * 86400)});
}

void NotYetValid(World& world) {
  ExpectTurnedAway(world, {world.pki().IssueAt({Role::kAdmin, "x"}, 86400)});
}

// One call by whom the handshake let in.
Status ListAs(World& world, const KeyPair& pair) {
  const Client client(world.coordinator().port(), world.pki().authority(), pair);
  return client.Call(kListJobs, "").status;
}

void NoRole(World& world) {
  EXPECT_EQ(ListAs(world, world.pki().IssueWithUris({})).code(), Code::kUnauthenticated);
}

void TwoRoles(World& world) {
  const KeyPair pair =
      world.pki().IssueWithUris({"spiffe://drover/viewer/x", "spiffe://drover/admin/x"});
  EXPECT_EQ(ListAs(world, pair).code(), Code::kUnauthenticated);
}

void WorkerAsUser(World& world) {
  const KeyPair pair = world.pki().Issue({Role::kWorker, "x"});
  EXPECT_EQ(ListAs(world, pair).code(), Code::kPermissionDenied);
}

// The sanity of the rest: one with a good certificate and today's TLS is let in.
void OldTls(World& world) {
  const KeyPair good = world.pki().Issue({Role::kViewer, "x"});
  EXPECT_TRUE(IsLetIn(world.coordinator().port(), {good}));
  EXPECT_TRUE(IsLetIn(world.coordinator().port(), {good, TLS1_2_VERSION}));
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    ExpectTurnedAway(world, {good, version});
  }
  for (const char* ciphers :
       {"eNULL", "aNULL", "RC4", "3DES", "EXPORT", "CAMELLIA", "AES128-SHA"}) {
    ExpectTurnedAway(world, {good, TLS1_2_VERSION, ciphers});
  }
}

// A handshake may take 5 s.
void HalfHandshakes(World& world) {
  const int port = world.coordinator().port();
  RawConnection asks(port);
  const TlsChoice old = {world.pki().Issue({Role::kViewer, "x"}), TLS1_2_VERSION};
  ASSERT_TRUE(asks.Handshake(old, kTlsPatience));
  EXPECT_FALSE(asks.Renegotiate());

  // The head of a ClientHello of 512 bytes, and no more.
  const std::string half("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  std::vector<RawConnection> held;
  for (int i = 0; i < 20; ++i) {
    held.emplace_back(port);
    EXPECT_TRUE(held.back().Write(half, kSoon));
  }
  EXPECT_EQ(ListAs(world, world.pki().Issue({Role::kViewer, "x"})).code(), Code::kOk);
  for (RawConnection& connection : held) EXPECT_TRUE(connection.AwaitClose(kSoon));
}

// ---- HTTP/2 by one who was let in.

// A started connection as a viewer whom no limit knows yet.
Http2Client Insider(int port, World& world, const std::string& settings = "") {
  static int viewers = 0;
  const std::string name = "insider-" + std::to_string(++viewers);
  RawConnection connection(port);
  EXPECT_TRUE(connection.Handshake({world.pki().Issue({Role::kViewer, name})}, kTlsPatience));
  Http2Client client(std::move(connection));
  EXPECT_TRUE(client.Start(settings));
  return client;
}
Http2Client Insider(World& world) { return Insider(world.coordinator().port(), world); }

// Not at all, and least of all with a status of success.
void ExpectNotServed(const Ending& ending) {
  EXPECT_NE(ending.kind, Ending::kNothing) << "the server says nothing";
  EXPECT_FALSE(ending.kind == Ending::kStatus && ending.code == 0);
}

void SendInstead(World& world, const std::string& bytes) {
  RawConnection connection(world.coordinator().port());
  ASSERT_TRUE(connection.Handshake({world.pki().Issue({Role::kViewer, "x"})}, kTlsPatience));
  connection.Write(bytes, kSoon);
  EXPECT_TRUE(connection.AwaitClose(kSoon));
}

void Http1(World& world) { SendInstead(world, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); }

void BadPreface(World& world) {
  SendInstead(world, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + std::string(9, '\0'));
}

// CVE-2023-33953: gRPC 1.51 buffers a header that does not end, whatever the limit of metadata, in
// time that grows with the square of what came. So only the handshake helps, and strangers stay
// behind it. From one who has a certificate a megabyte is survived; docs/security.md says so.
void EndlessHeaders(World& world) {
  EXPECT_FALSE(IsLetIn(world.coordinator().port(), {}));
  Http2Client client = Insider(world);
  const std::string begin = HeaderBlock(GrpcHeaders(kListJobs)) + '\x10' + '\x01' + "x" +
                            std::string("\x7f\x81\xff\xff\x1f", 5);  // A value of 64 MiB.
  bool taken = client.Send(Http2Frame(kHeaders, 0, 1, begin));
  for (int i = 0; i < 64 && taken; ++i) {
    const uint8_t flags = i == 63 ? kEndHeaders : 0;
    taken = client.Send(Http2Frame(kContinuation, flags, 1, std::string(16'384, 'a')));
  }
  ExpectNotServed(client.Await(1, kSoon));
}

void EndlessVarint(World& world) {
  EXPECT_FALSE(IsLetIn(world.coordinator().port(), {}));
  Http2Client client = Insider(world);
  const std::string block = std::string("\x10\x7f") + std::string(16'000, '\x80');
  client.Send(Http2Frame(kHeaders, 0, 1, block));
  for (int i = 0; i < 8; ++i) {
    client.Send(Http2Frame(kContinuation, 0, 1, std::string(16'000, '\x80')));
  }
  client.Send(Http2Frame(kContinuation, kEndHeaders, 1, std::string(1, '\0')));
  ExpectNotServed(client.Await(1, kSoon));
}

// CVE-2023-1428: a bad `te` in metadata that is too large aborted servers.
void TeAndPadding(World& world) {
  Headers headers = GrpcHeaders(kListJobs, {{"padding", std::string(9'000, 'p')}});
  for (auto& [name, value] : headers) {
    if (name == "te") value = "x";
  }
  ExpectNotServed(Insider(world).Call(headers, GrpcMessage(""), kSoon));
  headers.emplace_back("te", "x");
  ExpectNotServed(Insider(world).Call(headers, GrpcMessage(""), kSoon));
}

// CVE-2023-32732: it took the connection of a proxy along, and with it the calls of others.
void BadBase64(World& world) {
  for (const char* value : {"!!!!", "A", "AAAA=A==", "\x80\x81"}) {
    Http2Client client = Insider(world);
    const Headers headers = GrpcHeaders(kListJobs, {{"x-bin", value}});
    const Ending ending = client.Call(headers, GrpcMessage(""), kSoon);
    EXPECT_NE(ending.kind, Ending::kNothing) << value;
  }
}

// CVE-2023-44487. gRPC 1.51 has no limit but that of streams that are open at once: the control is
// the certificate, and that nobody else is held up. Of calls that no limit of ours counts.
void RapidReset(World& world) {
  Http2Client client = Insider(world);
  const std::string block = HeaderBlock(GrpcHeaders("/grpc.health.v1.Health/Check"));
  std::string burst;
  for (uint32_t stream = 1; stream < 20'000; stream += 2) {
    burst += Http2Frame(kHeaders, kEndHeaders, stream, block);
    burst += Http2Frame(kResetStream, 0, stream, BigEndian(8));
    if (burst.size() < 100'000) continue;
    if (!client.Send(burst)) break;
    burst.clear();
  }
  client.Send(burst);
}

// gRPC 1.51 makes a chain of errors of 7 kB for each PING too many that came with the same read:
// 75 MB for a moment, however long the flood is, until it has cut the connection. 2,000 are less.
void PingFlood(World& world) {
  Http2Client client = Insider(world);
  std::string burst;
  for (int i = 0; i < 2'000; ++i) burst += Http2Frame(kPing, 0, 0, "12345678");
  client.Send(burst);
  const Ending ending = client.Await(0, kSoon);
  EXPECT_TRUE(ending.kind == Ending::kClosed ||
              (ending.kind == Ending::kGoAway && ending.code == 11));  // ENHANCE_YOUR_CALM

  Http2Client other = Insider(world);
  burst.clear();
  for (uint32_t i = 0; i < 10'000; ++i) {
    burst += Http2Frame(kSettings, 0, 0, std::string("\0\3", 2) + BigEndian(i));
  }
  other.Send(burst);
  // Answered one by one, or cut off: both are fine, as long as it goes on.
  EXPECT_NE(other.Call(GrpcHeaders(kListJobs), GrpcMessage(""), kSoon).kind, Ending::kNothing);
}

// 100 answers that nobody takes: the window is 0. They wait in the quota of connections.
void ZeroWindow(World& world) {
  Http2Client client = Insider(world.coordinator().port(), world,
                               std::string("\0\4", 2) + BigEndian(0));  // INITIAL_WINDOW_SIZE
  std::string calls;
  for (uint32_t stream = 1; stream < 200; stream += 2) {
    calls += Http2Frame(kHeaders, kEndHeaders, stream, HeaderBlock(GrpcHeaders(kListJobs)));
    calls += Http2Frame(kData, kEndStream, stream, GrpcMessage(""));
  }
  EXPECT_TRUE(client.Send(calls));
  EXPECT_EQ(client.Await(1, std::chrono::milliseconds(200)).kind, Ending::kNothing);
}

// gRPC 1.51 looks at the size of a message when it is whole. So a prefix that promises 4 GiB costs
// a stream and no memory for as long as nothing follows, and what does follow is refused at its
// end.
void LengthOfFourGigabytes(World& world) {
  std::vector<Http2Client> silent;
  for (const char* method : {kListJobs, kWatchJob}) {
    silent.push_back(Insider(world));
    silent.back().Send(Http2Frame(kHeaders, kEndHeaders, 1, HeaderBlock(GrpcHeaders(method))) +
                       Http2Frame(kData, 0, 1, GrpcPrefix(0, 0xffffffff)));
  }
  const Client client = world.coordinator().As(Role::kViewer, "large");
  EXPECT_EQ(client.Call(kListJobs, std::string(kControlMessageBytesMax + 1, 'x')).status.code(),
            Code::kResourceExhausted);
  for (Http2Client& one : silent) {
    EXPECT_NE(one.Await(1, std::chrono::milliseconds(100)).kind, Ending::kStatus);
  }
}

// ---- Compression, which is off: no small message unfolds into a large one.

Ending CallWithEncoding(World& world, const char* encoding, const std::string& body) {
  const Headers headers = GrpcHeaders(kListJobs, {{"grpc-encoding", encoding}});
  return Insider(world).Call(headers, body, kSoon);
}

void GzipFlag(World& world) {
  const Ending ending = CallWithEncoding(world, "gzip", GrpcMessage(GzipOfZeros(0), 1));
  EXPECT_EQ(ending.kind, Ending::kStatus);
  EXPECT_EQ(ending.code, static_cast<int>(Code::kUnimplemented));
  // The flag without the encoding.
  ExpectNotServed(Insider(world).Call(GrpcHeaders(kListJobs), GrpcMessage("abc", 1), kSoon));
}

// 48 MiB in 15 frames' worth of nothing, on coordinator and shard.
void GzipBomb(World& world) {
  const std::string bomb = GzipOfZeros(48 << 20);
  ASSERT_LT(bomb.size(), 60'000u);  // Within the window that every stream begins with.
  const Ending ending = CallWithEncoding(world, "gzip", GrpcMessage(bomb, 1));
  EXPECT_EQ(ending.kind, Ending::kStatus);
  EXPECT_EQ(ending.code, static_cast<int>(Code::kUnimplemented));
}

void UnknownEncoding(World& world) {
  const Ending ending = CallWithEncoding(world, "canary", GrpcMessage("abc", 1));
  EXPECT_EQ(ending.kind, Ending::kStatus);
  EXPECT_EQ(ending.code, static_cast<int>(Code::kInternal));  // Or UNIMPLEMENTED: gRPC's choice.
}

void TruncatedMessage(World& world) {
  ExpectNotServed(Insider(world).Call(GrpcHeaders(kListJobs), GrpcPrefix(0, 1000) + "abc", kSoon));
  ExpectNotServed(Insider(world).Call(GrpcHeaders(kListJobs), std::string("\0\0", 2), kSoon));
}

// A message at a byte per second keeps no thread: a call begins when its message is whole. A stream
// of a worker does, so it has 10 s to say who it is, whatever comes meanwhile.
void SlowBody(World& world) {
  StillClock clock;
  ControlServer::Options options;
  options.clock = &clock;
  ControlServer lab(&world, "lab", options);
  RawConnection connection(lab.port());
  ASSERT_TRUE(connection.Handshake({world.pki().Issue({Role::kWorker, "slow"})}, kTlsPatience));
  Http2Client client(std::move(connection));
  ASSERT_TRUE(client.Start());
  client.Send(Http2Frame(kHeaders, kEndHeaders, 1, HeaderBlock(GrpcHeaders(kWorkerSession))));
  client.Send(Http2Frame(kData, 0, 1, GrpcPrefix(0, 100)));
  while (lab.sessions() < 1) SleepFor(std::chrono::milliseconds(1));
  for (int second = 0; second < 11; ++second) {
    client.Send(Http2Frame(kData, 0, 1, "x"));
    clock.Advance(1000);
    lab.CloseSilent();
  }
  ExpectNotServed(client.Await(1, kSoon));
}

// Nobody may call what is not in the table of access.cc, so that is what he is told.
void UnknownMethods(World& world) {
  const Client admin = world.coordinator().As(Role::kAdmin);
  for (const char* method : {"/drover.v1.JobService/Nothing", "/drover.v1.NoService/GetJob",
                             "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_EQ(admin.Call(method, "").status.code(), Code::kPermissionDenied) << method;
  }
}

}  // namespace

std::vector<Case> TransportCases() {
  return {
      {1, "plain bytes to the TLS port", PlainBytes},
      {2, "TLS without a client certificate", NoCertificate},
      {3, "certificate of a foreign authority", ForeignAuthority},
      {4, "expired certificate", Expired},
      {5, "certificate that is not yet valid", NotYetValid},
      {6, "certificate without a role", NoRole, {{"auth_failures/bad_certificate", 1}}, 1},
      {7, "certificate of two roles", TwoRoles, {{"auth_failures/bad_certificate", 1}}, 1},
      {8, "worker calls a user's method", WorkerAsUser, {{"auth_failures/forbidden", 1}}, 1},
      {9, "TLS 1.0 and 1.1, weak suites", OldTls},
      {10, "renegotiation, half handshakes", HalfHandshakes},
      {13, "HTTP/1.1 request", Http1},
      {14, "bad preface", BadPreface},
      {15, "64 MiB of header in CONTINUATION frames", EndlessHeaders},
      {16, "endless varint in a header", EndlessVarint},
      {17, "te: x and 9 kB of padding", TeAndPadding},
      {18, "bad base64 in a -bin header", BadBase64},
      {19, "rapid reset of 10,000 streams", RapidReset},
      {20, "flood of PING and SETTINGS", PingFlood},
      {21, "answers that are never taken", ZeroWindow},
      {22, "length prefix of 4 GiB, then silence", LengthOfFourGigabytes},
      {23, "gzip flag with gzip off", GzipFlag},
      {24, "gzip bomb", GzipBomb},
      {25, "unknown grpc-encoding", UnknownEncoding},
      {26, "truncated message", TruncatedMessage},
      {27, "body at a byte per second", SlowBody},
      {28,
       "unknown method, service, reflection",
       UnknownMethods,
       {{"auth_failures/forbidden", 3}},
       3},
  };
}

}  // namespace drover::bad_input
