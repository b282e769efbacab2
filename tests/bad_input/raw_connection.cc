#include "tests/bad_input/raw_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace drover::bad_input {
namespace {

Instant Now() { return Clock::Real().Now(); }

bool Await(int fd, short events, Instant deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Now());
  pollfd wanted = {fd, events, 0};
  return poll(&wanted, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) > 0;
}

}  // namespace

struct RawConnection::State {
  ~State() {
    if (ssl != nullptr) SSL_free(ssl);
    if (context != nullptr) SSL_CTX_free(context);
    if (fd >= 0) close(fd);
  }

  // Waits for what the library wants. False when it wants nothing or the time is up.
  bool Again(int result, Instant deadline) {
    const int error = SSL_get_error(ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ && Await(fd, POLLIN, deadline)) return true;
    if (error == SSL_ERROR_WANT_WRITE && Await(fd, POLLOUT, deadline)) return true;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) closed = true;
    return false;
  }

  int fd = -1;
  bool closed = false;
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
};

RawConnection::RawConnection(int port) : state_(std::make_unique<State>()) {
  state_->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected =
      connect(state_->fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  EXPECT_EQ(connected, 0) << "nobody listens on port " << port;
  fcntl(state_->fd, F_SETFL, fcntl(state_->fd, F_GETFL) | O_NONBLOCK);
}

RawConnection::~RawConnection() = default;
RawConnection::RawConnection(RawConnection&&) noexcept = default;

bool RawConnection::Handshake(const TlsChoice& choice, Duration timeout) {
  State& state = *state_;
  state.context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(state.context, 0);  // What is weak is to be refused by the server.
  SSL_CTX_set_min_proto_version(state.context, TLS1_VERSION);
  if (choice.version_max != 0) SSL_CTX_set_max_proto_version(state.context, choice.version_max);
  if (choice.ciphers[0] != '\0') SSL_CTX_set_cipher_list(state.context, choice.ciphers);
  constexpr std::array<unsigned char, 3> kHttp2 = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(state.context, kHttp2.data(), kHttp2.size());
  state.ssl = SSL_new(state.context);
  if (!choice.pair.certificate.empty()) {
    BIO* certificate = BIO_new_mem_buf(choice.pair.certificate.data(), -1);
    BIO* key = BIO_new_mem_buf(choice.pair.key.data(), -1);
    X509* x509 = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    EXPECT_EQ(SSL_use_certificate(state.ssl, x509), 1);
    EXPECT_EQ(SSL_use_PrivateKey(state.ssl, pkey), 1);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(certificate);
    BIO_free(key);
  }
  SSL_set_tlsext_host_name(state.ssl, "localhost");
  SSL_set_fd(state.ssl, state.fd);
  const Instant deadline = Now() + timeout;
  int result = 0;
  while ((result = SSL_connect(state.ssl)) != 1) {
    if (!state.Again(result, deadline)) return false;
  }
  return true;
}

bool RawConnection::Renegotiate() {
  if (SSL_renegotiate(state_->ssl) != 1) return false;
  const Instant deadline = Now() + std::chrono::seconds(5);
  int result = 0;
  while ((result = SSL_do_handshake(state_->ssl)) != 1) {
    if (!state_->Again(result, deadline)) return false;
  }
  // The library says 1 as soon as the request is written.
  return SSL_renegotiate_pending(state_->ssl) == 0 && !AwaitClose(std::chrono::seconds(1));
}

bool RawConnection::Write(const std::string& bytes, Duration timeout) {
  State& state = *state_;
  const Instant deadline = Now() + timeout;
  size_t done = 0;
  while (done < bytes.size() && !state.closed) {
    const size_t size = std::min<size_t>(bytes.size() - done, 1 << 16);
    if (state.ssl == nullptr) {
      const ssize_t sent = send(state.fd, bytes.data() + done, size, MSG_NOSIGNAL);
      if (sent > 0) done += static_cast<size_t>(sent);
      if (sent < 0 && errno != EAGAIN) state.closed = true;
      if (sent < 0 && errno == EAGAIN && !Await(state.fd, POLLOUT, deadline)) return false;
    } else {
      const int sent = SSL_write(state.ssl, bytes.data() + done, static_cast<int>(size));
      if (sent > 0) done += static_cast<size_t>(sent);
      if (sent <= 0 && !state.Again(sent, deadline)) return false;
    }
  }
  return done == bytes.size();
}

std::string RawConnection::Read(Duration timeout) {
  State& state = *state_;
  const Instant deadline = Now() + timeout;
  std::string bytes(1 << 16, '\0');
  while (!state.closed) {
    if (state.ssl == nullptr) {
      const ssize_t got = recv(state.fd, bytes.data(), bytes.size(), 0);
      if (got > 0) return bytes.substr(0, static_cast<size_t>(got));
      if (got == 0 || errno != EAGAIN) state.closed = true;
      if (got < 0 && errno == EAGAIN && !Await(state.fd, POLLIN, deadline)) break;
    } else {
      const int got = SSL_read(state.ssl, bytes.data(), static_cast<int>(bytes.size()));
      if (got > 0) return bytes.substr(0, static_cast<size_t>(got));
      if (!state.Again(got, deadline)) break;
    }
  }
  return "";
}

bool RawConnection::AwaitClose(Duration timeout) {
  const Instant deadline = Now() + timeout;
  while (!state_->closed && Now() < deadline) (void)Read(deadline - Now());
  return state_->closed;
}

bool RawConnection::closed() const { return state_->closed; }

}  // namespace drover::bad_input
