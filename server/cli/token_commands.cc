#include "server/cli/token_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/tls/secret_file.h"
#include "common/tls/token_table.h"
#include "server/cli/exit_code.h"

namespace drover {
namespace {

constexpr unsigned kSecretMode = 0600;
constexpr uint64_t kFileBytesMax = 4 << 20;

Result<std::vector<TokenEntry>> ReadEntries(const std::string& file) {
  const Result<std::string> text = FileSystem::Real().ReadUserFile(file, kFileBytesMax);
  if (!text.ok()) return text.status();
  Result<std::vector<TokenEntry>> entries = ParseTokens(text.value());
  if (!entries.ok()) return entries.status().Annotate(Quote(file));
  return entries;
}

}  // namespace

int TokensAddCommand(const std::string& file, const std::string& role_name,
                     const std::string& name) {
  const std::optional<Role> role = ParseRole(role_name);
  if (!role.has_value() || IsNode(*role) || !IsIdentityName(name)) {
    return ReportError(Status(Code::kInvalidArgument,
                              fmt::format("{} {}: expected a role viewer, submitter or admin and a "
                                          "name [A-Za-z0-9_.-]{{1,63}}",
                                          Quote(role_name), Quote(name))),
                       "workers and shards have certificates: \"drover certs issue\"");
  }
  std::vector<TokenEntry> entries;
  if (!FileStamp(file).empty()) {
    Result<std::vector<TokenEntry>> read = ReadEntries(file);
    if (!read.ok()) return ReportError(read.status());
    entries = std::move(read).value();
  }
  for (const TokenEntry& entry : entries) {
    if (entry.identity.name != name) continue;
    return ReportError(Status(Code::kAlreadyExists, fmt::format("{} has a token", Quote(name))),
                       fmt::format("drover tokens revoke FILE {}", name));
  }
  const Result<std::string> token = NewToken();
  if (!token.ok()) return ReportError(token.status());
  entries.push_back({{*role, name}, HashToken(token.value())});
  const Status written = ReplaceFile(file, FormatTokens(entries), kSecretMode);
  if (!written.ok()) return ReportError(written);
  fmt::print("{}\n", token.value());
  fmt::print(stderr,
             "next: keep it in a file of mode 0600 for --token-file; it is not shown again\n");
  return kExitOk;
}

int TokensListCommand(const std::string& file) {
  const Result<std::vector<TokenEntry>> entries = ReadEntries(file);
  if (!entries.ok()) return ReportError(entries.status());
  for (const TokenEntry& entry : entries.value()) {
    fmt::print("{:<10} {}\n", RoleName(entry.identity.role), entry.identity.name);
  }
  return kExitOk;
}

int TokensRevokeCommand(const std::string& file, const std::string& name) {
  Result<std::vector<TokenEntry>> entries = ReadEntries(file);
  if (!entries.ok()) return ReportError(entries.status());
  const size_t removed = std::erase_if(
      entries.value(), [&name](const TokenEntry& entry) { return entry.identity.name == name; });
  if (removed == 0) {
    return ReportError(Status(Code::kNotFound, fmt::format("{} has no token", Quote(name))));
  }
  const Status written = ReplaceFile(file, FormatTokens(entries.value()), kSecretMode);
  return written.ok() ? kExitOk : ReportError(written);
}

}  // namespace drover
