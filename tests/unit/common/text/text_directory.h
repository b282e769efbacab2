// A folder for one test, removed with it. One thread.

#ifndef DROVER_TESTS_UNIT_COMMON_TEXT_TEXT_DIRECTORY_H_
#define DROVER_TESTS_UNIT_COMMON_TEXT_TEXT_DIRECTORY_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace drover {

class TextDirectory {
 public:
  TextDirectory() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = testing::TempDir() + "drover_text_" + test->test_suite_name() + "_" + test->name();
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TextDirectory() { std::filesystem::remove_all(path_); }
  TextDirectory(const TextDirectory&) = delete;
  TextDirectory& operator=(const TextDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(File(name), std::ios::binary) << bytes;
    return File(name);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_COMMON_TEXT_TEXT_DIRECTORY_H_
