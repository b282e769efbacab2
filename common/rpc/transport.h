// How a process speaks to others: in plain text on this machine, with TLS where certificates are
// given, or in plain text everywhere where somebody insists. Made once in main. All of gRPC's TLS
// stands in this file. Certificates are read again when their files change. Thread-safe.

#ifndef DROVER_COMMON_RPC_TRANSPORT_H_
#define DROVER_COMMON_RPC_TRANSPORT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/rpc/channel_security.h"
#include "common/rpc/refusal_log.h"
#include "common/tls/identity.h"
#include "common/tls/tls_flags.h"

namespace grpc {
class ServerContextBase;
class ServerCredentials;
}  // namespace grpc

namespace drover {

class TokenTable;

// A changed certificate, key or authority is used for new connections after this at the latest.
inline constexpr unsigned kCertificateReloadSeconds = 10;

struct ServerAccess {
  // Users may come without a certificate and with a token. Null: everybody needs a certificate, and
  // strangers are turned away in the handshake.
  TokenTable* tokens = nullptr;
  std::function<void(AuthFailure)> on_refused;  // May be empty.
};

class Transport {
 public:
  Transport() = default;  // Plain text, this machine only.

  // Checks everything that can be checked before a port is open. `token_file`: of a user; "" =
  // none.
  static Result<Transport> Open(const TlsFlags& flags, const TlsNeeds& needs,
                                const std::string& token_file = "",
                                unsigned reload_seconds = kCertificateReloadSeconds);

  bool tls() const { return flags_.tls(); }
  const char* Name() const;  // "on", "off" or "INSECURE", for the line at the start.
  const TlsFacts& facts() const { return facts_; }

  // kFailedPrecondition when `address` is beyond this machine and nothing protects it. `flag` is
  // what it was given by.
  Status CheckReach(const char* flag, const std::string& address) const;

  // For dialling. The server is verified, by the name that is dialled.
  const ChannelSecurity& channels() const { return channels_; }

  // For listening. With TLS each call is checked against the table of access.h, and what is refused
  // is logged. `access.tokens` outlives the server.
  std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const ServerAccess& access) const;

 private:
  TlsFlags flags_;
  unsigned reload_seconds_ = kCertificateReloadSeconds;
  TlsFacts facts_;
  ChannelSecurity channels_;
};

// Whom the certificate or the token of this call speaks for; nobody without TLS.
std::optional<Identity> CallerIdentity(const grpc::ServerContextBase& context, TokenTable* tokens);

// "submitter/ann at ipv4:10.0.0.7:41234", or "ipv4:..." alone without TLS; for the audit log.
std::string DescribeCaller(const grpc::ServerContextBase& context, TokenTable* tokens);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_TRANSPORT_H_
