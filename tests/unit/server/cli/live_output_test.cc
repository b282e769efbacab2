#include "server/cli/live_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A FILE whose text can be looked at.
class TextFile {
 public:
  TextFile() : file_(std::tmpfile()) {}
  ~TextFile() { std::fclose(file_); }
  std::FILE* get() { return file_; }
  // What was written since the last call.
  std::string Take() {
    std::fflush(file_);
    std::string text;
    std::fseek(file_, read_, SEEK_SET);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
    read_ = std::ftell(file_);
    std::fseek(file_, 0, SEEK_END);
    return text;
  }

 private:
  std::FILE* const file_;
  long read_ = 0;
};

v1::JobEvent Warning(const std::string& text) {
  v1::JobEvent event;
  event.mutable_log()->set_level("warning");
  event.mutable_log()->set_text(text);
  return event;
}

TEST(LiveOutputTest, ATerminalIsRedrawnAtMostFiveTimesASecond) {
  TextFile file;
  LiveOutput output(file.get(), /*terminal=*/true, /*color=*/false);
  const Progress progress(SampleJob());

  output.Tick(progress, {}, {milliseconds(0)});
  EXPECT_THAT(file.Take(), StartsWith("digits-lamb  RUNNING"));
  output.Tick(progress, {}, {milliseconds(199)});
  EXPECT_EQ(file.Take(), "");
  output.Tick(progress, {}, {milliseconds(200)});
  EXPECT_THAT(file.Take(), StartsWith("\x1b[2A\r\x1b[Jdigits-lamb"));  // Over the two lines.
}

TEST(LiveOutputTest, NewsScrollAboveTheBlock) {
  TextFile file;
  LiveOutput output(file.get(), /*terminal=*/true, /*color=*/false);
  const Progress progress(SampleJob());
  output.Tick(progress, {}, {milliseconds(0)});
  file.Take();

  output.Note("worker-1 died");
  EXPECT_EQ(file.Take(), "\x1b[2A\r\x1b[Jworker-1 died\n");
  output.Tick(progress, {}, {milliseconds(1)});  // At once, for the block is gone.
  EXPECT_THAT(file.Take(), StartsWith("digits-lamb"));
}

TEST(LiveOutputTest, ElsewhereALineEveryFiveSecondsAndNoEscapes) {
  TextFile file;
  LiveOutput output(file.get(), /*terminal=*/false, /*color=*/false);
  const Progress progress(SampleJob());

  output.Tick(progress, {}, {milliseconds(0)});
  output.Tick(progress, {}, {milliseconds(4999)});
  output.Event(Warning("w"));
  output.Tick(progress, {}, {milliseconds(4999)});
  output.Tick(progress, {}, {milliseconds(5000)});
  output.Finish(progress, {});

  const std::string text = file.Take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(LiveOutputTest, WhatRepeatsForEverIsPrintedRarely) {
  TextFile file;
  LiveOutput output(file.get(), /*terminal=*/false, /*color=*/false);

  for (int i = 0; i < 1000; ++i) output.Event(Warning("again"));

  const std::string text = file.Take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3 + 3);
  EXPECT_THAT(text, HasSubstr("text=\"again\" times=1000\n"));
}

}  // namespace
}  // namespace drover
