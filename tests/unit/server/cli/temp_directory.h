// A folder for one test, removed with it. One thread.

#ifndef DROVER_TESTS_UNIT_SERVER_CLI_TEMP_DIRECTORY_H_
#define DROVER_TESTS_UNIT_SERVER_CLI_TEMP_DIRECTORY_H_

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>

#include "common/base/file_system.h"
#include "common/base/temporary_directory.h"

namespace drover {

class TempDirectory {
 public:
  TempDirectory() : path_(MakeTemporaryDirectory().value()) {}
  ~TempDirectory() { (void)FileSystem::Real().RemoveAll(path_); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(File(name)) << text;
  }
  void WriteProgram(const std::string& name, const std::string& script) const {
    Write(name, "#!/bin/sh\n" + script);
    chmod(File(name).c_str(), 0755);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(File(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  const std::string path_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_CLI_TEMP_DIRECTORY_H_
