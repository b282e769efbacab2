#include "common/tls/handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "common/base/descriptor.h"
#include "common/base/host_port.h"
#include "common/tls/certificate.h"
#include "common/tls/openssl_owners.h"

namespace drover {
namespace {

using Speech = Handshake::Speech;

// RFC 9113: the preface, then an empty SETTINGS frame. A server answers with its own SETTINGS.
constexpr std::string_view kPreface{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33};
constexpr size_t kFrameHeadBytes = 9;
constexpr char kSettings = 4;     // Type of frame, its fourth byte.
constexpr char kTlsAlert = 0x15;  // RFC 8446: type of record.
constexpr unsigned char kAlpn[] = {2, 'h', '2'};

using Context = std::unique_ptr<SSL_CTX, Freeing<&SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freeing<&SSL_free>>;
using Addresses = std::unique_ptr<addrinfo, Freeing<&freeaddrinfo>>;

// 0, or errno of what went wrong.
int ConnectWithin(int fd, const addrinfo& address, int timeout_ms) {
  const int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  if (connect(fd, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    pollfd waiting = {fd, POLLOUT, 0};
    if (poll(&waiting, 1, timeout_ms) != 1) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error;
  }
  fcntl(fd, F_SETFL, flags);
  const timeval patience = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  return 0;
}

// No socket: `found` says why.
Descriptor Dial(const HostAndPort& target, int timeout_ms, Handshake* found) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int failed = getaddrinfo(target.host.c_str(), target.port.c_str(), &wanted, &first);
  if (failed != 0) {
    found->speech = Speech::kUnresolved;
    found->detail = gai_strerror(failed);
    return Descriptor();
  }
  const Addresses addresses(first);
  int error = 0;
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    Descriptor dialled(socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (dialled.number() < 0) {
      error = errno;
      continue;
    }
    error = ConnectWithin(dialled.number(), *one, timeout_ms);
    if (error == 0) return dialled;
  }
  found->speech = error == ECONNREFUSED ? Speech::kRefused : Speech::kUnreachable;
  found->detail = strerror(error);
  return Descriptor();
}

// What comes back for HTTP/2 in plain text.
Speech SpeechInPlainText(int fd) {
  if (send(fd, kPreface.data(), kPreface.size(), MSG_NOSIGNAL) < 0) return Speech::kNothing;
  std::array<char, kFrameHeadBytes> head = {};
  size_t size = 0;
  while (size < head.size()) {
    const ssize_t read = recv(fd, head.data() + size, head.size() - size, 0);
    if (read <= 0) break;
    size += static_cast<size_t>(read);
  }
  if (size == 0) return Speech::kNothing;
  if (head[0] == kTlsAlert) return Speech::kTls;
  if (std::string_view(head.data(), size).starts_with("HTTP/1")) return Speech::kHttp1;
  return size == head.size() && head[3] == kSettings ? Speech::kHttp2 : Speech::kOther;
}

// Certificates of the caller; a file that cannot be used is for other checks to find.
void UseFiles(const TlsFlags& flags, SSL_CTX* context) {
  if (!flags.authority.empty()) {
    SSL_CTX_load_verify_locations(context, flags.authority.c_str(), nullptr);
  }
  if (!flags.certificate.empty() && !flags.key.empty()) {
    SSL_CTX_use_certificate_chain_file(context, flags.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context, flags.key.c_str(), SSL_FILETYPE_PEM);
  }
}

bool IsIp(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes = {};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

void ReadPeer(SSL* connection, const HostAndPort& target, bool has_authority, Handshake* found) {
  const Certificate peer(SSL_get1_peer_certificate(connection));
  if (peer == nullptr) return;
  found->name_fits = IsIp(target.host)
                         ? X509_check_ip_asc(peer.get(), target.host.c_str(), 0) == 1
                         : X509_check_host(peer.get(), target.host.c_str(), 0, 0, nullptr) == 1;
  const long verdict = SSL_get_verify_result(connection);
  // The date is a question of its own.
  const bool dated =
      verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID;
  if (has_authority && verdict != X509_V_OK && !dated) {
    found->untrusted = X509_verify_cert_error_string(verdict);
  }
  const Bio text(BIO_new(BIO_s_mem()));
  if (text == nullptr || PEM_write_bio_X509(text.get(), peer.get()) != 1) return;
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  const Result<CertificateFacts> facts =
      ReadCertificate(std::string(data, static_cast<size_t>(size)));
  if (!facts.ok()) return;
  found->names = facts.value().hosts;
  found->not_before_unix_s = facts.value().not_before_unix_s;
  found->not_after_unix_s = facts.value().not_after_unix_s;
}

// An alert of the server: all that there are about certificates (RFC 8446, 6.2) are of us.
bool IsAlertAboutUs(unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return true;
    default:
      return false;
  }
}

// Whether the other end speaks TLS at all; then `found` holds what came of it.
bool ShakeHands(int fd, const HostAndPort& target, const TlsFlags& flags, Handshake* found) {
  ERR_clear_error();
  const Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return false;
  UseFiles(flags, context.get());
  ERR_clear_error();
  const Connection connection(SSL_new(context.get()));
  if (connection == nullptr || SSL_set_fd(connection.get(), fd) != 1) return false;
  SSL_set_alpn_protos(connection.get(), kAlpn, sizeof(kAlpn));
  if (!IsIp(target.host)) SSL_set_tlsext_host_name(connection.get(), target.host.c_str());
  bool shaken = SSL_connect(connection.get()) == 1;
  if (shaken) {
    ReadPeer(connection.get(), target, !flags.authority.empty(), found);
    // With TLS 1.3 the server judges our certificate after our part of the handshake is over.
    std::array<char, kFrameHeadBytes> head = {};
    SSL_write(connection.get(), kPreface.data(), static_cast<int>(kPreface.size()));
    if (SSL_read(connection.get(), head.data(), static_cast<int>(head.size())) > 0) return true;
  }
  const unsigned long error = ERR_peek_error();
  ERR_clear_error();
  if (error == 0) return shaken;
  found->detail = ERR_reason_error_string(error) == nullptr ? "" : ERR_reason_error_string(error);
  found->turned_away = IsAlertAboutUs(error);
  return shaken || found->turned_away;
}

}  // namespace

Handshake ProbeServer(const std::string& address, const TlsFlags& flags, int timeout_ms) {
  Handshake found;
  const HostAndPort target = SplitHostPort(address);
  {
    const Descriptor plain = Dial(target, timeout_ms, &found);
    if (plain.number() < 0) return found;
    found.speech = SpeechInPlainText(plain.number());
  }
  // A TLS server may also hang up without a word.
  if (found.speech != Speech::kTls && found.speech != Speech::kNothing) return found;
  const Descriptor secure = Dial(target, timeout_ms, &found);
  if (secure.number() < 0) return found;
  if (ShakeHands(secure.number(), target, flags, &found)) found.speech = Speech::kTls;
  return found;
}

}  // namespace drover
