// T 11 and 12: more connections than anybody needs.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <vector>

#include "common/base/parse.h"
#include "common/base/thread.h"
#include "common/rpc/port_watchdog.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/raw_connection.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {
namespace {

// 1,000 strangers as fast as four threads can dial: half of them shake hands and are turned away
// for their certificate, half hang up in the middle. Nothing limits them but the processor time
// that a handshake costs; what must hold is that others are served and that nothing is left of
// them.
void HandshakeFlood(World& world) {
  const int port = world.coordinator().port();
  std::vector<Thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back("flood", [port] {
      for (int i = 0; i < 250; ++i) {
        RawConnection connection(port);
        if (i % 2 == 0) (void)connection.Handshake({}, kPatience);
        if (i % 2 == 1) (void)connection.Write("\x16\x03\x01", kPatience);
      }
    });
  }
}

// A server of its own (flooded_server.cc), in a process of its own.
class FloodedServer {
 public:
  // `folder`: for its files.
  explicit FloodedServer(const std::string& folder) {
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const std::string program =
        (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "drover-flooded-server")
            .string();
    std::string temporary = "TEST_TMPDIR=" + folder + "/";
    const std::array<char*, 2> arguments = {const_cast<char*>(program.c_str()), nullptr};
    const std::array<char*, 2> environment = {temporary.data(), nullptr};
    EXPECT_EQ(posix_spawn(&child_, program.c_str(), &actions, nullptr, arguments.data(),
                          environment.data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    output_ = ends[0];
  }
  ~FloodedServer() {
    close(output_);
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  // As it prints it.
  int port() const {
    std::string line;
    char byte = 0;
    while (read(output_, &byte, 1) == 1 && byte != '\n') line += byte;
    const Result<int64_t> port = ParseInt(line);
    EXPECT_TRUE(port.ok()) << line;
    return port.ok() ? static_cast<int>(port.value()) : 0;
  }
  // Its exit code, when it has ended by itself. The end of its output is the end of the process.
  int ExitCode() {
    pollfd ended = {output_, POLLIN, 0};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
    char byte = 0;
    if (poll(&ended, 1, static_cast<int>(patience.count())) != 1 || read(output_, &byte, 1) != 0) {
      return -1;
    }
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t child_ = 0;
  int output_ = -1;
};

// CVE-2023-4785: once gRPC 1.51.1 has run out of descriptors it never takes a connection again, not
// even when all others have gone. The watchdog sees it and ends the process, to be started again.
void ConnectionFlood(World& world) {
  FloodedServer server(world.NewFolder("flooded"));
  const int port = server.port();
  ASSERT_GT(port, 0);
  {
    std::vector<RawConnection> connections;
    for (int i = 0; i < 200; ++i) connections.emplace_back(port);
  }
  EXPECT_EQ(server.ExitCode(), kExitDeaf);
}

}  // namespace

std::vector<Case> ConnectionCases() {
  return {
      {11, "flood of 1,000 handshakes", HandshakeFlood},
      {12, "more connections than descriptors", ConnectionFlood},
  };
}

}  // namespace drover::bad_input
