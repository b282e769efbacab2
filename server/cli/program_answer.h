// What another program of Drover prints when it is asked something. Blocks until it has ended. Main
// thread only.

#ifndef DROVER_SERVER_CLI_PROGRAM_ANSWER_H_
#define DROVER_SERVER_CLI_PROGRAM_ANSWER_H_

#include <string>
#include <vector>

namespace drover {

struct ProgramAnswer {
  int exit_code = -1;  // -1: it could not be started, or a signal ended it.
  std::string line;    // The first one of its output.
};

enum class AnswerStream {
  kOutput,           // What it says on stderr goes where ours goes.
  kOutputAndErrors,  // Whichever comes first.
};

// `arguments[0]` is the program's path.
ProgramAnswer AskProgram(const std::vector<std::string>& arguments,
                         AnswerStream stream = AnswerStream::kOutput);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_PROGRAM_ANSWER_H_
