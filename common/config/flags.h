// Flags that several programs share, so that they are spelt and checked alike. No environment
// variable changes behaviour. Not thread-safe: for main.

#ifndef DROVER_COMMON_CONFIG_FLAGS_H_
#define DROVER_COMMON_CONFIG_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/logging.h"
#include "common/base/status.h"
#include "common/tls/tls_flags.h"

namespace CLI {
class App;
}  // namespace CLI

namespace drover {

// Exit code of a daemon that cannot start as configured: supervisors must not retry it.
inline constexpr int kExitConfiguration = 78;
// Of `drover-worker --memory-of`: the job was understood and does not fit.
inline constexpr int kExitTooLittleMemory = 3;

// Each adds a flag to `app` with *value as its default. *value must live until the parse; a bad
// value is a parse error that names the flag.
void AddListenFlag(CLI::App* app, std::string* address);       // --listen HOST:PORT
void AddCoordinatorFlag(CLI::App* app, std::string* address);  // --coordinator HOST:PORT, required
void AddMetricsFlag(CLI::App* app, std::string* address);      // --metrics HOST:PORT, "" = off
void AddNameFlag(CLI::App* app, std::string* name);            // --name, of worker or shard
// --gpu-memory SIZE, in bytes: what `help` says; not 0 once it was given.
void AddGpuMemoryFlag(CLI::App* app, const std::string& help, int64_t* bytes);
// --tls-cert FILE, --tls-key FILE, --tls-ca FILE, --insecure. Whether they fit each other is
// checked when the files are read (common/tls/tls_flags.h).
void AddTlsFlags(CLI::App* app, TlsFlags* flags);
void AddLogFlags(CLI::App* app, LogOptions* options);  // --log-level, --log-format

// kInvalidArgument unless "host:port", "[v6]:port" or "unix:path"; port 0 to 65535.
Status CheckAddress(const std::string& address);

// Parses the command line: nothing when the program should run, else its exit code, after help or
// an error was printed. 78 for errors.
std::optional<int> ParseDaemonFlags(CLI::App* app, int argc, const char* const* argv);

}  // namespace drover

#endif  // DROVER_COMMON_CONFIG_FLAGS_H_
