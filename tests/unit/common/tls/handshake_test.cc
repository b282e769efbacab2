#include "common/tls/handshake.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/tls/certificate.h"
#include "tests/support/loopback_port.h"

namespace drover {
namespace {

using Speech = Handshake::Speech;

constexpr int kPatienceMs = 2000;

// From its first moment on.
class Server : public LoopbackPort {
 public:
  explicit Server(std::function<void(int)> serve) {
    signal(SIGPIPE, SIG_IGN);
    Serve(std::move(serve));
  }
};

std::function<void(int)> Answer(const std::string& bytes) {
  return [bytes](int peer) {
    std::array<char, 64> request;
    (void)recv(peer, request.data(), request.size(), 0);
    (void)send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  };
}

class TlsServerTest : public testing::Test {
 protected:
  TlsServerTest() : now_(Clock::Real().UnixMilliseconds() / 1000) {
    ours_ = Authority("ours");
    theirs_ = Authority("theirs");
    WritePair("server",
              IssueCertificate(ours_, {{Role::kCoordinator, "c"}, {"localhost"}, 30}, now_));
    WritePair("client", IssueCertificate(ours_, {{Role::kAdmin, "a"}, {}, 30}, now_));
  }

  KeyPair Authority(const std::string& name) {
    Result<KeyPair> authority = MakeAuthority(30, now_);
    EXPECT_TRUE(authority.ok());
    Write(name + ".crt", authority.value().certificate);
    return std::move(authority).value();
  }
  void WritePair(const std::string& name, const Result<KeyPair>& pair) {
    ASSERT_TRUE(pair.ok()) << pair.status().message();
    Write(name + ".crt", pair.value().certificate);
    Write(name + ".key", pair.value().key);
  }
  std::string Path(const std::string& name) const {
    return testing::TempDir() + "handshake_test_" + name;
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }

  TlsFlags Trusting(const std::string& authority) const {
    TlsFlags flags;
    flags.authority = Path(authority + ".crt");
    return flags;
  }

  // One that shows "server" and, if told, wants a certificate of `ours_`.
  std::function<void(int)> ServeTls(bool wants_certificate) {
    return [this, wants_certificate](int peer) {
      SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
      SSL_CTX_use_certificate_chain_file(context, Path("server.crt").c_str());
      SSL_CTX_use_PrivateKey_file(context, Path("server.key").c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_load_verify_locations(context, Path("ours.crt").c_str(), nullptr);
      if (wants_certificate) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      }
      SSL* const connection = SSL_new(context);
      SSL_set_fd(connection, peer);
      std::array<char, 64> request;
      if (SSL_accept(connection) == 1 &&
          SSL_read(connection, request.data(), static_cast<int>(request.size())) > 0) {
        SSL_write(connection, "\0\0\0\4\0\0\0\0\0", 9);
      }
      SSL_shutdown(connection);
      SSL_free(connection);
      SSL_CTX_free(context);
    };
  }

  const int64_t now_;
  KeyPair ours_;
  KeyPair theirs_;
};

TEST(HandshakeTest, NobodyListens) {
  std::string address;
  {
    address = Server([](int) {}).At("127.0.0.1");
  }
  EXPECT_EQ(ProbeServer(address, {}, kPatienceMs).speech, Speech::kRefused);
}

TEST(HandshakeTest, NoSuchName) {
  const Handshake found = ProbeServer("no-such-host.invalid:1", {}, kPatienceMs);
  EXPECT_EQ(found.speech, Speech::kUnresolved);
  EXPECT_FALSE(found.detail.empty());
}

TEST(HandshakeTest, PlainTextIsRecognisedByItsFirstBytes) {
  const Server http1(Answer("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const Server http2(Answer(std::string("\0\0\0\4\0\0\0\0\0", 9)));
  const Server mail(Answer("220 mail.example ESMTP\r\n"));
  EXPECT_EQ(ProbeServer(http1.At("127.0.0.1"), {}, kPatienceMs).speech, Speech::kHttp1);
  EXPECT_EQ(ProbeServer(http2.At("127.0.0.1"), {}, kPatienceMs).speech, Speech::kHttp2);
  EXPECT_EQ(ProbeServer(mail.At("127.0.0.1"), {}, kPatienceMs).speech, Speech::kOther);
}

TEST(HandshakeTest, WhoHangsUpSaysNothing) {
  const Server server([](int) {});
  EXPECT_EQ(ProbeServer(server.At("127.0.0.1"), {}, kPatienceMs).speech, Speech::kNothing);
}

TEST_F(TlsServerTest, ATrustedServerHasNothingWrong) {
  const Server server(ServeTls(/*wants_certificate=*/false));
  const Handshake found = ProbeServer(server.At("localhost"), Trusting("ours"), kPatienceMs);
  EXPECT_EQ(found.speech, Speech::kTls);
  EXPECT_EQ(found.untrusted, "");
  EXPECT_TRUE(found.name_fits);
  EXPECT_EQ(found.names, std::vector<std::string>{"localhost"});
  EXPECT_EQ(found.not_after_unix_s, now_ + 30 * 86400);
  EXPECT_FALSE(found.turned_away);
}

TEST_F(TlsServerTest, AnotherAuthorityIsNamed) {
  const Server server(ServeTls(false));
  const Handshake found = ProbeServer(server.At("localhost"), Trusting("theirs"), kPatienceMs);
  EXPECT_EQ(found.speech, Speech::kTls);
  EXPECT_NE(found.untrusted, "");
}

TEST_F(TlsServerTest, ANameThatItDoesNotHoldIsFound) {
  const Server server(ServeTls(false));
  const Handshake found = ProbeServer(server.At("127.0.0.1"), Trusting("ours"), kPatienceMs);
  EXPECT_EQ(found.untrusted, "");
  EXPECT_FALSE(found.name_fits);
}

TEST_F(TlsServerTest, AServerThatWantsACertificateTurnsStrangersAway) {
  const Server server(ServeTls(/*wants_certificate=*/true));
  const Handshake bare = ProbeServer(server.At("localhost"), Trusting("ours"), kPatienceMs);
  EXPECT_EQ(bare.speech, Speech::kTls);
  EXPECT_TRUE(bare.turned_away) << bare.detail;

  const TlsFlags mine = {Path("client.crt"), Path("client.key"), Path("ours.crt")};
  const Handshake known = ProbeServer(server.At("localhost"), mine, kPatienceMs);
  EXPECT_EQ(known.speech, Speech::kTls);
  EXPECT_FALSE(known.turned_away) << known.detail;
}

}  // namespace
}  // namespace drover
