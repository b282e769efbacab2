#include "server/cli/exit_code.h"

#include <fmt/format.h>

#include <cstdio>

namespace drover {

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return kExitOk;
    case Code::kInvalidArgument:
      return kExitUsage;
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kUnavailable:
      return kExitUnavailable;
    case Code::kDeadlineExceeded:
      return kExitTimeout;
    default:
      return kExitFailed;
  }
}

int ReportError(const Status& status, const std::string& hint) {
  const std::string& message = status.message();
  for (size_t begin = 0; begin <= message.size();) {
    const size_t end = message.find('\n', begin);
    fmt::print(stderr, "error: {}\n", message.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  if (!hint.empty()) fmt::print(stderr, "hint: {}\n", hint);
  return ExitCodeOf(status);
}

int ReportCallError(const Status& status, const std::string& server) {
  const auto says = [&status](const char* text) {
    return status.message().find(text) != std::string::npos;
  };
  // gRPC's word for a channel that channel.h does not allow.
  if (says("Invalid credentials") || says("invalid credentials")) {
    return ReportError(Status(Code::kUnavailable,
                              fmt::format("no way to the coordinator at {}: plain text is only "
                                          "spoken on this machine",
                                          server)),
                       "give --tls-ca with --tls-cert and --tls-key, or with --token-file");
  }
  // Something is there, or there is more to say than that nothing is.
  if (status.code() == Code::kUnavailable && !says("onnection refused") && !says("No such file")) {
    return ReportError(
        Status(Code::kUnavailable,
               fmt::format("no way to the coordinator at {}: {}", server, status.message())),
        "if it uses TLS, give --tls-ca and --tls-cert of its own authority, and a name that its "
        "certificate holds");
  }
  switch (status.code()) {
    case Code::kUnavailable:
      return ReportError(Status(Code::kUnavailable, fmt::format("no coordinator at {}", server)),
                         "start one with \"drover run JOB.yaml\" or pass --server HOST:PORT");
    case Code::kDeadlineExceeded:
      return ReportError(
          Status(status.code(),
                 fmt::format("the coordinator at {} did not answer in time", server)),
          "it may be busy or frozen; look at its log, or wait longer with --timeout 30s");
    case Code::kNotFound:
      return ReportError(status, "\"drover get jobs\" lists all jobs");
    default:
      return ReportError(status);
  }
}

}  // namespace drover
