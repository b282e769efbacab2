#include "server/cli/event_file.h"

#include <gtest/gtest.h>

#include "tests/unit/server/cli/sample_job.h"

namespace drover {
namespace {

std::string HexOf(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

// Written by hand in Python: struct.pack, and a CRC-32C bit by bit (tests/integration/event_file.py
// reads such files the same way).
TEST(EventFileTest, HasTheBytesOfTheFormat) {
  EventFile file(1.5);
  file.Add(2.0, 300, {{"train/loss", 0.25f}});

  EXPECT_EQ(HexOf(file.bytes()),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e457665"
            "6e743a322a28646c"
            "2100000000000000017becf609000000000000004010ac022a130a110a0a7472"
            "61696e2f6c6f7373150000803ee89dc1a5");
}

TEST(EventFileTest, AnEvaluationWithoutItsStepIsAnEventToo) {
  v1::EvalReport evaluation;
  evaluation.set_version(8);
  evaluation.set_loss(0.5);
  evaluation.set_time_unix_ms(1'500);
  EventFile file(1.0);
  const size_t before = file.bytes().size();

  file.Add({{7, nullptr, &evaluation}});

  const std::string event = file.bytes().substr(before);
  EXPECT_NE(event.find("eval/loss"), event.npos);
  EXPECT_EQ(event.find("train/"), event.npos);
}

// What was not measured has no curve, rather than one at 0.
TEST(EventFileTest, ASkippedStepHasNoLoss) {
  v1::StepReport step = SampleStep(3, 0.5).step();
  step.set_skipped(true);
  EventFile file(1.0);

  file.Add({{3, &step, nullptr}});

  EXPECT_EQ(file.bytes().find("train/loss"), std::string::npos);
  EXPECT_NE(file.bytes().find("train/learning_rate"), std::string::npos);
}

}  // namespace
}  // namespace drover
