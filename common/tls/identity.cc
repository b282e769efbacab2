#include "common/tls/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/quote.h"

namespace drover {
namespace {

constexpr std::string_view kPrefix = "spiffe://drover/";
constexpr size_t kNameBytesMax = 63;
constexpr std::array<std::pair<Role, const char*>, 6> kRoles = {
    {{Role::kViewer, "viewer"},
     {Role::kSubmitter, "submitter"},
     {Role::kAdmin, "admin"},
     {Role::kWorker, "worker"},
     {Role::kShard, "shard"},
     {Role::kCoordinator, "coordinator"}}};

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

const char* RoleName(Role role) {
  for (const auto& [known, name] : kRoles) {
    if (known == role) return name;
  }
  return "unknown";
}

std::optional<Role> ParseRole(std::string_view name) {
  for (const auto& [role, known] : kRoles) {
    if (name == known) return role;
  }
  return std::nullopt;
}

bool IsNode(Role role) {
  return role == Role::kWorker || role == Role::kShard || role == Role::kCoordinator;
}

bool IsIdentityName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), IsNameByte);
}

bool MayUseName(std::string_view certificate, std::string_view name) {
  if (!IsIdentityName(name) || !name.starts_with(certificate)) return false;
  return name.size() == certificate.size() || name[certificate.size()] == '-' ||
         name[certificate.size()] == '.';
}

Result<std::string> NodeName(const std::string& given, const std::string& fallback,
                             const std::optional<Identity>& certificate) {
  const std::string& name = given.empty() ? fallback : given;
  if (!certificate.has_value() || MayUseName(certificate->name, name)) return name;
  if (given.empty()) return (certificate->name + "-" + name).substr(0, kNameBytesMax);
  return Status(
      Code::kPermissionDenied,
      fmt::format("--name {} with a certificate of {}: expected {} or a name that begins "
                  "with {}-",
                  Quote(given), ToString(*certificate), certificate->name, certificate->name));
}

std::string IdentityUri(const Identity& identity) {
  return fmt::format("{}{}/{}", kPrefix, RoleName(identity.role), identity.name);
}

std::string ToString(const Identity& identity) {
  return fmt::format("{}/{}", RoleName(identity.role), identity.name);
}

Result<Identity> IdentityOfUris(const std::vector<std::string>& uris) {
  if (uris.size() != 1) {
    return Status(Code::kUnauthenticated,
                  fmt::format("the certificate names {} URIs: expected one, spiffe://drover/ROLE/"
                              "NAME; \"drover certs issue\" makes such certificates",
                              uris.size()));
  }
  const std::string_view uri = uris.front();
  const size_t slash = uri.starts_with(kPrefix) ? uri.find('/', kPrefix.size()) : uri.npos;
  if (slash != uri.npos) {
    const std::optional<Role> role = ParseRole(uri.substr(kPrefix.size(), slash - kPrefix.size()));
    const std::string_view name = uri.substr(slash + 1);
    if (role.has_value() && IsIdentityName(name)) return Identity{*role, std::string(name)};
  }
  return Status(Code::kUnauthenticated,
                fmt::format("the certificate's URI is {}: expected spiffe://drover/ROLE/NAME with "
                            "ROLE viewer, submitter, admin, worker, shard or coordinator",
                            Quote(uri)));
}

}  // namespace drover
