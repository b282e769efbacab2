#include "common/rpc/transport.h"

#include <fmt/format.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/rpc/access.h"
#include "common/rpc/channel.h"
#include "common/rpc/rate_limit.h"
#include "common/rpc/status_grpc.h"
#include "common/tls/secret_file.h"
#include "common/tls/token_table.h"

namespace drover {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

constexpr char kPath[] = ":path";
constexpr char kAuthorization[] = "authorization";
constexpr std::string_view kBearer = "Bearer ";
constexpr std::string_view kJobServicePrefix = "/drover.v1.JobService/";
// Of one caller. Nodes have streams instead, which tell what is too much by themselves.
constexpr RateLimit::Rate kCreateRate = {1.0, 10.0};
constexpr RateLimit::Rate kCallRate = {50.0, 100.0};

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

std::vector<std::string> ValuesOf(const grpc::AuthContext& context, const char* property) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : context.FindPropertyValues(property)) {
    values.emplace_back(View(value));
  }
  return values;
}

struct Caller {
  std::optional<Identity> identity;
  Status problem;  // Why there is none although something was shown.
  AuthFailure failure = AuthFailure::kNoCredentials;
};

// A certificate goes before a token.
template <typename Metadata>
Caller CallerOf(const grpc::AuthContext& context, const Metadata& metadata, TokenTable* tokens) {
  Caller caller;
  if (!context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME).empty()) {
    Result<Identity> identity = IdentityOfUris(ValuesOf(context, GRPC_PEER_URI_PROPERTY_NAME));
    if (identity.ok()) {
      caller.identity = std::move(identity).value();
    } else {
      caller.problem = identity.status();
      caller.failure = AuthFailure::kBadCertificate;
    }
    return caller;
  }
  const auto header = metadata.find(kAuthorization);
  if (tokens == nullptr || header == metadata.end()) return caller;
  const std::string_view value = View(header->second);
  Result<Identity> identity =
      value.starts_with(kBearer)
          ? tokens->Identify(value.substr(kBearer.size()))
          : Status(Code::kUnauthenticated, "authorization: expected \"Bearer TOKEN\"");
  if (identity.ok()) {
    caller.identity = std::move(identity).value();
  } else {
    caller.problem = identity.status();
    caller.failure = AuthFailure::kBadToken;
  }
  return caller;
}

// Asked before every call, on gRPC's threads.
class RoleCheck final : public grpc::AuthMetadataProcessor {
 public:
  explicit RoleCheck(ServerAccess access) : access_(std::move(access)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) override {
    const auto path = metadata.find(kPath);
    const std::string_view method =
        path == metadata.end() ? std::string_view() : View(path->second);
    Caller caller = CallerOf(*context, metadata, access_.tokens);
    Status status = caller.problem;
    if (status.ok()) {
      status = Authorize(method, caller.identity);
      if (caller.identity.has_value()) caller.failure = AuthFailure::kForbidden;
    }
    if (status.ok() && !InTime(method, *caller.identity)) {
      caller.failure = AuthFailure::kTooMany;
      status = Status(Code::kResourceExhausted,
                      fmt::format("{} calls too often: wait a second", ToString(*caller.identity)));
    }
    if (status.ok()) return grpc::Status::OK;
    if (access_.on_refused != nullptr) access_.on_refused(caller.failure);
    log_.Write(method, caller.identity.has_value() ? ToString(*caller.identity) : "unknown",
               caller.failure, status);
    return ToGrpc(status);
  }

 private:
  bool InTime(std::string_view method, const Identity& caller) {
    if (!method.starts_with(kJobServicePrefix)) return true;
    const bool create = method.substr(kJobServicePrefix.size()) == "CreateJob";
    return rates_.Allow(ToString(caller) + (create ? " create" : ""),
                        create ? kCreateRate : kCallRate, Clock::Real().Now());
  }

  const ServerAccess access_;
  RefusalLog log_;
  RateLimit rates_;
};

void WatchFiles(const TlsFlags& flags, unsigned reload_seconds,
                grpc::experimental::TlsCredentialsOptions* options) {
  options->set_certificate_provider(
      flags.certificate.empty()
          ? std::make_shared<FileWatcherCertificateProvider>(flags.authority, reload_seconds)
          : std::make_shared<FileWatcherCertificateProvider>(flags.key, flags.certificate,
                                                             flags.authority, reload_seconds));
  options->watch_root_certs();
  if (!flags.certificate.empty()) options->watch_identity_key_cert_pairs();
}

Result<std::string> ReadToken(const std::string& path) {
  DROVER_RETURN_IF_ERROR(CheckSecretMode(path));
  Result<std::string> text = FileSystem::Real().ReadUserFile(path, 2 * kBearerTokenBytesMax);
  if (!text.ok()) return text.status();
  std::string token = std::move(text).value();
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  const bool fits =
      !token.empty() && token.size() <= kBearerTokenBytesMax &&
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (fits) return token;
  return Status(
      Code::kInvalidArgument,
      fmt::format("{}: expected one line with the token that \"drover tokens add\" printed",
                  Quote(path)));
}

}  // namespace

Result<Transport> Transport::Open(const TlsFlags& flags, const TlsNeeds& needs,
                                  const std::string& token_file, unsigned reload_seconds) {
  Transport transport;
  transport.flags_ = flags;
  transport.reload_seconds_ = reload_seconds;
  transport.channels_.plain_text_anywhere = flags.insecure;
  if (!flags.tls()) {
    if (token_file.empty()) return transport;
    return Status(Code::kInvalidArgument,
                  "--token-file without --tls-ca: a token is never sent in plain text");
  }
  Result<TlsFacts> facts = CheckTlsFiles(flags, needs, Clock::Real().UnixMilliseconds() / 1000);
  if (!facts.ok()) return facts.status();
  transport.facts_ = std::move(facts).value();
  grpc::experimental::TlsChannelCredentialsOptions options;
  WatchFiles(flags, reload_seconds, &options);
  transport.channels_.credentials = grpc::experimental::TlsCredentials(options);
  if (token_file.empty()) return transport;
  const Result<std::string> token = ReadToken(token_file);
  if (!token.ok()) return token.status().Annotate("--token-file");
  transport.channels_.credentials = grpc::CompositeChannelCredentials(
      transport.channels_.credentials, grpc::AccessTokenCredentials(token.value()));
  return transport;
}

const char* Transport::Name() const {
  if (tls()) return "on";
  return flags_.insecure ? "INSECURE" : "off";
}

Status Transport::CheckReach(const char* flag, const std::string& address) const {
  if (tls() || flags_.insecure || IsLoopback(address)) return Status();
  return Status(Code::kFailedPrecondition,
                fmt::format("{} {}: other machines are on this way, and there is no TLS: give "
                            "--tls-cert, --tls-key and --tls-ca (\"drover certs init DIR\" makes "
                            "them), use 127.0.0.1:PORT, or say --insecure",
                            flag, Quote(address)));
}

std::shared_ptr<grpc::ServerCredentials> Transport::MakeServerCredentials(
    const ServerAccess& access) const {
  if (!tls()) return grpc::InsecureServerCredentials();
  grpc::experimental::TlsServerCredentialsOptions options(nullptr);
  WatchFiles(flags_, reload_seconds_, &options);
  options.set_cert_request_type(access.tokens == nullptr
                                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::experimental::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<RoleCheck>(access));
  return credentials;
}

std::optional<Identity> CallerIdentity(const grpc::ServerContextBase& context, TokenTable* tokens) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr) return std::nullopt;
  return CallerOf(*auth, context.client_metadata(), tokens).identity;
}

std::string DescribeCaller(const grpc::ServerContextBase& context, TokenTable* tokens) {
  const std::optional<Identity> caller = CallerIdentity(context, tokens);
  if (!caller.has_value()) return context.peer();
  return fmt::format("{} at {}", ToString(*caller), context.peer());
}

}  // namespace drover
