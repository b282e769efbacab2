#include "server/cli/program_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace drover {
namespace {

[[noreturn]] void Become(const std::vector<char*>& arguments, int output, AnswerStream stream) {
  dup2(output, STDOUT_FILENO);
  if (stream == AnswerStream::kOutputAndErrors) dup2(output, STDERR_FILENO);
  execv(arguments[0], arguments.data());
  _exit(127);
}

std::string ReadAll(int file) {
  std::string text;
  std::array<char, 256> buffer;
  ssize_t size = 0;
  while ((size = read(file, buffer.data(), buffer.size())) > 0 || (size < 0 && errno == EINTR)) {
    if (size > 0) text.append(buffer.data(), static_cast<size_t>(size));
  }
  return text;
}

}  // namespace

ProgramAnswer AskProgram(const std::vector<std::string>& arguments, AnswerStream stream) {
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));  // execv writes nothing there.
  }
  pointers.push_back(nullptr);
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) Become(pointers, ends[1], stream);
  close(ends[1]);
  ProgramAnswer answer;
  if (child > 0) {
    const std::string text = ReadAll(ends[0]);
    answer.line = text.substr(0, text.find('\n'));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 127) answer.exit_code = WEXITSTATUS(status);
  }
  close(ends[0]);
  return answer;
}

}  // namespace drover
