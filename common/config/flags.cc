#include "common/config/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/base/parse.h"
#include "common/base/quote.h"

namespace drover {
namespace {

// What CLI11 wants of a validator: the empty text, or what is wrong.
std::string AddressProblem(const std::string& address) {
  const Status status = CheckAddress(address);
  return status.ok() ? "" : status.message();
}

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

std::string NameProblem(const std::string& name) {
  const bool fits =
      !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), IsNameByte);
  return fits ? "" : fmt::format("{}: expected [A-Za-z0-9_.-]{{1,63}}", Quote(name));
}

}  // namespace

Status CheckAddress(const std::string& address) {
  if (address.starts_with("unix:") && address.size() > 5) return Status();
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
  if (colon != std::string::npos && !host.empty() &&
      (bracketed || host.find(':') == std::string::npos)) {
    const Result<int64_t> port = ParseInt(address.substr(colon + 1));
    if (port.ok() && port.value() >= 0 && port.value() <= 65535) return Status();
  }
  return Status(Code::kInvalidArgument,
                fmt::format("{}: expected HOST:PORT such as 127.0.0.1:50050", Quote(address)));
}

void AddListenFlag(CLI::App* app, std::string* address) {
  app->add_option("--listen", *address, "Address to serve on; port 0 takes a free one")
      ->type_name("HOST:PORT")
      ->check(AddressProblem)
      ->capture_default_str();
}

void AddCoordinatorFlag(CLI::App* app, std::string* address) {
  app->add_option("--coordinator", *address, "Address of the coordinator")
      ->type_name("HOST:PORT")
      ->check(AddressProblem)
      ->required();
}

void AddMetricsFlag(CLI::App* app, std::string* address) {
  app->add_option("--metrics", *address,
                  "Address of /metrics and, on the coordinator, of the status page; empty = off")
      ->type_name("HOST:PORT")
      ->check([](const std::string& text) {
        return text.empty() ? std::string() : AddressProblem(text);
      })
      ->capture_default_str();
}

void AddNameFlag(CLI::App* app, std::string* name) {
  app->add_option("--name", *name, "Name of this process, unique among its kind")
      ->type_name("NAME")
      ->check(NameProblem);
}

void AddGpuMemoryFlag(CLI::App* app, const std::string& help, int64_t* bytes) {
  app->add_option_function<std::string>(
         "--gpu-memory",
         [bytes](const std::string& text) {
           const Result<int64_t> parsed = ParseBytes(text);
           if (parsed.ok()) *bytes = parsed.value();
         },
         help)
      ->type_name("SIZE")
      ->check([](const std::string& text) {
        const Result<int64_t> parsed = ParseBytes(text);
        if (!parsed.ok()) return parsed.status().message();
        return parsed.value() > 0 ? std::string() : Quote(text) + ": expected more than 0 bytes";
      });
}

void AddTlsFlags(CLI::App* app, TlsFlags* flags) {
  app->add_option("--tls-cert", flags->certificate,
                  "Certificate to show (PEM); \"drover certs init\" makes one per role")
      ->type_name("FILE");
  app->add_option("--tls-key", flags->key, "Private key of --tls-cert (PEM, mode 0600)")
      ->type_name("FILE");
  app->add_option("--tls-ca", flags->authority, "Authority whose certificates are trusted (PEM)")
      ->type_name("FILE");
  app->add_flag("--insecure", flags->insecure,
                "Plain text with other machines too: whoever reaches the network has all rights");
}

void AddLogFlags(CLI::App* app, LogOptions* options) {
  app->add_option_function<std::string>(
         "--log-level",
         [options](const std::string& text) {
           const Result<LogLevel> parsed = ParseLogLevel(text);
           if (parsed.ok()) options->level = parsed.value();
         },
         "Least serious messages to log")
      ->type_name("LEVEL")
      ->check([](const std::string& text) {
        const Result<LogLevel> parsed = ParseLogLevel(text);
        return parsed.ok() ? std::string() : parsed.status().message();
      })
      ->default_str("info");
  app->add_option_function<std::string>(
         "--log-format",
         [options](const std::string& text) {
           const Result<LogFormat> parsed = ParseLogFormat(text);
           if (parsed.ok()) options->format = parsed.value();
         },
         "Of the log: text for people, or json, one object per line")
      ->type_name("FORMAT")
      ->check([](const std::string& text) {
        const Result<LogFormat> parsed = ParseLogFormat(text);
        return parsed.ok() ? std::string() : parsed.status().message();
      })
      ->default_str("text");
}

std::optional<int> ParseDaemonFlags(CLI::App* app, int argc, const char* const* argv) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app->exit(error);
    return code == 0 ? 0 : kExitConfiguration;
  }
  return std::nullopt;
}

}  // namespace drover
