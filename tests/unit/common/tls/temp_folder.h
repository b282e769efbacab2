// A folder that goes when the test ends.

#ifndef DROVER_TESTS_UNIT_COMMON_TLS_TEMP_FOLDER_H_
#define DROVER_TESTS_UNIT_COMMON_TLS_TEMP_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "common/tls/secret_file.h"

namespace drover {

class TempFolder {
 public:
  TempFolder() {
    std::string name = testing::TempDir() + "drover-tls-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  // The path of a new file.
  std::string Write(const std::string& name, const std::string& contents, unsigned mode = 0600) {
    const std::string file = path_ + "/" + name;
    EXPECT_TRUE(ReplaceFile(file, contents, mode).ok());
    return file;
  }

 private:
  std::string path_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_COMMON_TLS_TEMP_FOLDER_H_
