// Who a certificate or a token speaks for: a role and a name. In a certificate it is the one URI
// among the subject's alternative names, spiffe://drover/ROLE/NAME; the common name is ignored.
// Values and functions only; thread-safe.

#ifndef DROVER_COMMON_TLS_IDENTITY_H_
#define DROVER_COMMON_TLS_IDENTITY_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace drover {

// Of people: each may do what those before it may. Of nodes: each for itself only.
enum class Role { kViewer, kSubmitter, kAdmin, kWorker, kShard, kCoordinator };

const char* RoleName(Role role);  // "viewer", ...
std::optional<Role> ParseRole(std::string_view name);
bool IsNode(Role role);  // Worker, shard or coordinator.

struct Identity {
  Role role = Role::kViewer;
  std::string name;  // [A-Za-z0-9_.-]{1,63}
  friend bool operator==(const Identity&, const Identity&) = default;
};

bool IsIdentityName(std::string_view name);

// Whether the holder of a certificate of this name may call itself `name`: the same, or one that
// goes on after it with "-" or ".". So processes that share a certificate, such as the pods of one
// Deployment, have names of their own.
bool MayUseName(std::string_view certificate, std::string_view name);

// What a node calls itself: `given`, which its certificate (if any) must allow, else
// kPermissionDenied; or, when that is empty, `fallback`, behind the certificate's name if need be.
Result<std::string> NodeName(const std::string& given, const std::string& fallback,
                             const std::optional<Identity>& certificate);

std::string IdentityUri(const Identity& identity);
std::string ToString(const Identity& identity);  // "worker/gpu-7", for messages.

// Of all URIs of a certificate. kUnauthenticated unless it is exactly one, of the form above.
Result<Identity> IdentityOfUris(const std::vector<std::string>& uris);

}  // namespace drover

#endif  // DROVER_COMMON_TLS_IDENTITY_H_
