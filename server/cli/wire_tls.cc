#include "server/cli/wire_tls.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/temporary_directory.h"
#include "common/tls/certificate.h"
#include "common/tls/secret_file.h"

namespace drover {
namespace {

constexpr unsigned kSecretMode = 0600;
constexpr int kDays = 1;

Result<Transport> MakeEnd(const std::string& directory, const KeyPair& authority, Role role,
                          std::string_view name, int64_t now_unix_s) {
  const Result<KeyPair> pair =
      IssueCertificate(authority, {{role, std::string(name)}, {"127.0.0.1"}, kDays}, now_unix_s);
  if (!pair.ok()) return pair.status();
  TlsFlags flags;
  flags.authority = directory + "/ca.crt";
  flags.certificate = directory + "/" + std::string(name) + ".crt";
  flags.key = directory + "/" + std::string(name) + ".key";
  DROVER_RETURN_IF_ERROR(WriteNewFile(flags.certificate, pair.value().certificate, kSecretMode));
  DROVER_RETURN_IF_ERROR(WriteNewFile(flags.key, pair.value().key, kSecretMode));
  return Transport::Open(flags, {role});
}

}  // namespace

Result<std::unique_ptr<WireTls>> WireTls::Make() {
  Result<std::string> directory = MakeTemporaryDirectory();
  if (!directory.ok()) return directory.status();
  std::unique_ptr<WireTls> tls(new WireTls(std::move(directory).value()));
  const int64_t now = Clock::Real().UnixMilliseconds() / 1000;
  const Result<KeyPair> authority = MakeAuthority(kDays, now);
  if (!authority.ok()) return authority.status();
  DROVER_RETURN_IF_ERROR(
      WriteNewFile(tls->directory_ + "/ca.crt", authority.value().certificate, kSecretMode));
  for (const auto& [end, role, name] : {std::tuple(&tls->shard_, Role::kShard, "shard"),
                                        std::tuple(&tls->worker_, Role::kWorker, "worker")}) {
    Result<Transport> made = MakeEnd(tls->directory_, authority.value(), role, name, now);
    if (!made.ok()) return made.status();
    *end = std::move(made).value();
  }
  return tls;
}

WireTls::~WireTls() { (void)FileSystem::Real().RemoveAll(directory_); }

}  // namespace drover
