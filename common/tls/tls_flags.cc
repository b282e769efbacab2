#include "common/tls/tls_flags.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/tls/certificate.h"
#include "common/tls/secret_file.h"

namespace drover {
namespace {

constexpr char kMakeThem[] = "\"drover certs init DIR\" makes all files";

Status Missing(const char* flag, const std::string& why) {
  return Status(Code::kInvalidArgument, fmt::format("{} is missing: {}; {}", flag, why, kMakeThem));
}

Status CheckComplete(const TlsFlags& flags, const TlsNeeds& needs) {
  if (flags.insecure) {
    return Status(Code::kInvalidArgument,
                  "--insecure and --tls-... contradict each other: leave one out");
  }
  if (flags.authority.empty()) {
    return Missing("--tls-ca", "it says whose certificates are trusted");
  }
  if (needs.role.has_value() && flags.certificate.empty()) {
    return Missing("--tls-cert",
                   fmt::format("a {} must show a certificate of its own", RoleName(*needs.role)));
  }
  if (flags.certificate.empty() && !flags.key.empty()) {
    return Missing("--tls-cert", "--tls-key is of no use without it");
  }
  if (!flags.certificate.empty() && flags.key.empty()) {
    return Missing("--tls-key", "--tls-cert is of no use without it");
  }
  return Status();
}

Result<std::string> ReadFlagFile(const char* flag, const std::string& path) {
  Result<std::string> text = FileSystem::Real().ReadUserFile(path, kPemFileBytesMax);
  if (!text.ok()) return text.status().Annotate(flag);
  return text;
}

Status CheckTimes(const CertificateFacts& facts, int64_t now_unix_s) {
  if (now_unix_s >= facts.not_after_unix_s) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("ran out {} hours ago: issue a new one",
                              (now_unix_s - facts.not_after_unix_s) / 3600));
  }
  if (now_unix_s < facts.not_before_unix_s) {
    return Status(Code::kFailedPrecondition,
                  fmt::format("is valid only in {} s: is the clock of this machine right?",
                              facts.not_before_unix_s - now_unix_s));
  }
  return Status();
}

Status CheckRole(const Identity& identity, const TlsNeeds& needs) {
  if (!needs.role.has_value() || identity.role == *needs.role) return Status();
  return Status(Code::kPermissionDenied,
                fmt::format("is the certificate of {}: expected one of the role {}",
                            ToString(identity), RoleName(*needs.role)));
}

Result<TlsFacts> CheckCertificate(const TlsFlags& flags, const TlsNeeds& needs,
                                  const std::string& authority, int64_t now_unix_s) {
  const std::string where = fmt::format("--tls-cert {}", Quote(flags.certificate));
  const Result<std::string> text = ReadFlagFile("--tls-cert", flags.certificate);
  if (!text.ok()) return text.status();
  const Result<CertificateFacts> facts = ReadCertificate(text.value());
  if (!facts.ok()) return facts.status().Annotate(where);
  DROVER_RETURN_IF_ERROR(CheckTimes(facts.value(), now_unix_s).Annotate(where));
  DROVER_RETURN_IF_ERROR(CheckSignedBy(text.value(), authority).Annotate(where));
  const Result<Identity> identity = IdentityOfUris(facts.value().uris);
  if (!identity.ok()) return identity.status().Annotate(where);
  DROVER_RETURN_IF_ERROR(CheckRole(identity.value(), needs).Annotate(where));
  DROVER_RETURN_IF_ERROR(CheckSecretMode(flags.key).Annotate("--tls-key"));
  const Result<std::string> key = ReadFlagFile("--tls-key", flags.key);
  if (!key.ok()) return key.status();
  DROVER_RETURN_IF_ERROR(CheckKeyFits(text.value(), key.value())
                             .Annotate(fmt::format("--tls-key {}", Quote(flags.key))));
  return TlsFacts{identity.value(), facts.value().not_after_unix_s};
}

}  // namespace

Result<TlsFacts> CheckTlsFiles(const TlsFlags& flags, const TlsNeeds& needs, int64_t now_unix_s) {
  DROVER_RETURN_IF_ERROR(CheckComplete(flags, needs));
  const Result<std::string> authority = ReadFlagFile("--tls-ca", flags.authority);
  if (!authority.ok()) return authority.status();
  const Result<CertificateFacts> facts = ReadCertificate(authority.value());
  const std::string where = fmt::format("--tls-ca {}", Quote(flags.authority));
  if (!facts.ok()) return facts.status().Annotate(where);
  DROVER_RETURN_IF_ERROR(CheckTimes(facts.value(), now_unix_s).Annotate(where));
  if (flags.certificate.empty()) return TlsFacts();
  return CheckCertificate(flags, needs, authority.value(), now_unix_s);
}

}  // namespace drover
