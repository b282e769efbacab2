#include "server/cli/certs_commands.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "common/base/clock.h"
#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/tls/certificate.h"
#include "common/tls/secret_file.h"
#include "server/cli/exit_code.h"

namespace drover {
namespace {

constexpr unsigned kPublicMode = 0644;
constexpr unsigned kSecretMode = 0600;
constexpr char kNeverOverwritten[] =
    "certificates are never overwritten: choose another folder, or move these away";

struct NewFile {
  std::string path;
  std::string contents;
  unsigned mode;
};

int64_t UnixSecondsNow() { return Clock::Real().UnixMilliseconds() / 1000; }

void AddPair(const std::string& stem, KeyPair pair, std::vector<NewFile>* files) {
  files->push_back({stem + ".key", std::move(pair.key), kSecretMode});
  files->push_back({stem + ".crt", std::move(pair.certificate), kPublicMode});
}

// All or, as far as can be foreseen, none.
Status WriteAll(const std::string& directory, const std::vector<NewFile>& files) {
  DROVER_RETURN_IF_ERROR(FileSystem::Real().MakeDirectories(directory));
  for (const NewFile& file : files) {
    if (FileStamp(file.path).empty()) continue;
    return Status(Code::kAlreadyExists, fmt::format("{} exists", Quote(file.path)));
  }
  for (const NewFile& file : files) {
    DROVER_RETURN_IF_ERROR(WriteNewFile(file.path, file.contents, file.mode));
  }
  return FileSystem::Real().SyncDirectory(directory);
}

int ReportCertificates(const Status& status) {
  return ReportError(status, status.code() == Code::kAlreadyExists ? kNeverOverwritten : "");
}

// Servers are reached under the names that were given and, for probes, on their own machine.
std::vector<std::string> HostsFor(Role role, const CertsOptions& options) {
  if (role != Role::kCoordinator && role != Role::kShard) return {};
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};
  hosts.insert(hosts.end(), options.hosts.begin(), options.hosts.end());
  return hosts;
}

Result<std::vector<NewFile>> MakeAll(const CertsOptions& options) {
  const int64_t now = UnixSecondsNow();
  Result<KeyPair> authority = MakeAuthority(options.authority_days, now);
  if (!authority.ok()) return authority.status();
  std::vector<NewFile> files;
  for (const auto& [name, role] : {std::pair<const char*, Role>{"coordinator", Role::kCoordinator},
                                   {"shard", Role::kShard},
                                   {"worker", Role::kWorker},
                                   {"user", Role::kSubmitter},
                                   {"admin", Role::kAdmin}}) {
    Result<KeyPair> pair = IssueCertificate(
        authority.value(), {{role, name}, HostsFor(role, options), options.days}, now);
    if (!pair.ok()) return pair.status();
    AddPair(options.directory + "/" + name, std::move(pair).value(), &files);
  }
  AddPair(options.directory + "/ca", std::move(authority).value(), &files);
  return files;
}

Result<KeyPair> ReadAuthority(const std::string& directory) {
  Result<std::string> certificate =
      FileSystem::Real().ReadUserFile(directory + "/ca.crt", kPemFileBytesMax);
  if (!certificate.ok()) return certificate.status();
  Result<std::string> key =
      FileSystem::Real().ReadUserFile(directory + "/ca.key", kPemFileBytesMax);
  if (!key.ok()) return key.status();
  return KeyPair{std::move(certificate).value(), std::move(key).value()};
}

}  // namespace

int CertsInitCommand(const CertsOptions& options) {
  const Result<std::vector<NewFile>> files = MakeAll(options);
  if (!files.ok()) return ReportCertificates(files.status());
  if (const Status status = WriteAll(options.directory, files.value()); !status.ok()) {
    return ReportCertificates(status);
  }
  for (const NewFile& file : files.value()) fmt::print("{}\n", file.path);
  fmt::print(stderr,
             "next: give each machine ca.crt and only the pair of its role; keep ca.key where no "
             "other machine reaches it\n");
  return kExitOk;
}

int CertsIssueCommand(const CertsOptions& options) {
  const std::optional<Role> role = ParseRole(options.role);
  if (!role.has_value()) {
    return ReportError(Status(Code::kInvalidArgument,
                              fmt::format("role {}: expected viewer, submitter, admin, worker, "
                                          "shard or coordinator",
                                          Quote(options.role))));
  }
  if (options.name == "ca") {
    return ReportError(Status(Code::kInvalidArgument, "the name ca is the authority's"));
  }
  const Result<KeyPair> authority = ReadAuthority(options.directory);
  if (!authority.ok()) {
    return ReportError(authority.status(), "\"drover certs init DIR\" makes an authority");
  }
  Result<KeyPair> pair = IssueCertificate(
      authority.value(), {{*role, options.name}, HostsFor(*role, options), options.days},
      UnixSecondsNow());
  if (!pair.ok()) return ReportCertificates(pair.status());
  const std::string out = options.out.empty() ? options.directory : options.out;
  std::vector<NewFile> files;
  AddPair(out + "/" + options.name, std::move(pair).value(), &files);
  const std::string authority_copy = out + "/ca.crt";
  if (FileStamp(authority_copy).empty()) {
    files.push_back({authority_copy, authority.value().certificate, kPublicMode});
  }
  if (const Status status = WriteAll(out, files); !status.ok()) return ReportCertificates(status);
  for (const NewFile& file : files) fmt::print("{}\n", file.path);
  return kExitOk;
}

}  // namespace drover
