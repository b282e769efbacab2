// A place in a source file, taken by a default argument at the call. std::source_location would do,
// but clang 14 has none. Any thread.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SITE_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SITE_H_

#include <cstring>

namespace drover::emulator {

struct Site {
  static constexpr Site Here(const char* file = __builtin_FILE(),
                             unsigned int line = __builtin_LINE()) {
    return {file, line};
  }

  bool operator==(const Site& other) const {
    return line == other.line && (file == other.file || std::strcmp(file, other.file) == 0);
  }

  const char* file = "";
  unsigned int line = 0;
};

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SITE_H_
