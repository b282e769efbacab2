#include "server/shard/payload_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/server/shard/gradient_frames.h"

namespace drover {
namespace {

constexpr size_t kElements = 40000;  // Several pieces, the last one short.
constexpr PayloadRules kAddRules = {false, 16384.0f, int64_t{1} << 47, 0x1p33};

class PayloadSumTest : public testing::TestWithParam<Isa> {
 protected:
  PayloadSumTest() {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0.0f, 100.0f);
    for (size_t i = 0; i < kElements; ++i) {
      gradient_.push_back(normal(random));
      fixed_.push_back(llrint(static_cast<double>(gradient_.back()) * 0x1p33));
      before_.push_back(static_cast<int64_t>(random() >> 4));
    }
    sums_ = before_;
    float_header_.type = integer_header_.type = FrameType::kGradient;
    float_header_.encoding = FrameEncoding::kF32;
    integer_header_.encoding = FrameEncoding::kI64;
  }

  PayloadOutcome Sum(const ReceivedFrame& frame, PayloadRules rules = kAddRules) {
    return SumPayload(FixedPointPassesFor(GetParam()), frame, rules, sums_);
  }

  std::vector<int64_t> Added() const {
    std::vector<int64_t> sums = before_;
    for (size_t i = 0; i < kElements; ++i) sums[i] += fixed_[i];
    return sums;
  }

  std::vector<float> gradient_;
  std::vector<int64_t> fixed_;
  std::vector<int64_t> before_;
  std::vector<int64_t> sums_;
  FrameHeader float_header_;
  FrameHeader integer_header_;
};

INSTANTIATE_TEST_SUITE_P(AllIsas, PayloadSumTest, testing::ValuesIn(RunnableIsas()),
                         [](const auto& isa) { return IsaName(isa.param); });

TEST_P(PayloadSumTest, AddsAcrossSlicesOfEverySize) {
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{7},
                           size_t{9}, size_t{4096}, size_t{65537}, size_t{100001}}) {
    sums_ = before_;
    EXPECT_EQ(Sum(FrameOf(float_header_, PayloadOf(gradient_), cut)).refusal, Verdict::kNone);
    EXPECT_EQ(sums_, Added()) << "float, slices of " << cut;

    sums_ = before_;
    EXPECT_EQ(Sum(FrameOf(integer_header_, PayloadOf(fixed_), cut)).refusal, Verdict::kNone);
    EXPECT_EQ(sums_, Added()) << "integer, slices of " << cut;
  }
}

TEST_P(PayloadSumTest, StoresOverWhateverWasThere) {
  PayloadRules rules = kAddRules;
  rules.store = true;
  EXPECT_EQ(Sum(FrameOf(float_header_, PayloadOf(gradient_), 1001), rules).refusal, Verdict::kNone);
  EXPECT_EQ(sums_, fixed_);

  sums_ = before_;
  EXPECT_EQ(Sum(FrameOf(integer_header_, PayloadOf(fixed_), 1001), rules).refusal, Verdict::kNone);
  EXPECT_EQ(sums_, fixed_);
}

TEST_P(PayloadSumTest, DamagedPayloadLeavesNoTrace) {
  float_header_.payload_crc = 1;
  integer_header_.payload_crc = 1;

  EXPECT_EQ(Sum(FrameOf(float_header_, PayloadOf(gradient_), 9999)).refusal, Verdict::kChecksum);
  EXPECT_EQ(sums_, before_);
  EXPECT_EQ(Sum(FrameOf(integer_header_, PayloadOf(fixed_), 9999)).refusal, Verdict::kChecksum);
  EXPECT_EQ(sums_, before_);
}

TEST_P(PayloadSumTest, BadNumbersAreNamedAndLeaveNoTrace) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const size_t at : {size_t{0}, size_t{16384}, size_t{20001}, kElements - 1}) {
    for (const float value : {std::nanf(""), kInfinity, -kInfinity, 16384.0f, -1e30f}) {
      std::vector<float> broken = gradient_;
      broken[at] = value;
      const PayloadOutcome outcome = Sum(FrameOf(float_header_, PayloadOf(broken), 777));
      EXPECT_EQ(outcome.refusal, std::isfinite(value) ? Verdict::kRange : Verdict::kNonfinite);
      EXPECT_EQ(outcome.element, at);
      EXPECT_EQ(sums_, before_);
    }
    for (const int64_t value : {int64_t{1} << 47, std::numeric_limits<int64_t>::min()}) {
      std::vector<int64_t> broken = fixed_;
      broken[at] = value;
      const PayloadOutcome outcome = Sum(FrameOf(integer_header_, PayloadOf(broken), 777));
      EXPECT_EQ(outcome.refusal, Verdict::kRange);
      EXPECT_EQ(outcome.element, at);
      EXPECT_EQ(sums_, before_);
    }
  }
}

TEST_P(PayloadSumTest, DamageThatLooksLikeABadNumberIsDamage) {
  std::vector<float> broken = gradient_;
  broken[30000] = std::nanf("");
  const std::string payload = PayloadOf(gradient_);
  const ByteSpan whole[] = {AsBytes(payload)};
  float_header_.payload_crc = PayloadCrc(whole);

  EXPECT_EQ(Sum(FrameOf(float_header_, PayloadOf(broken))).refusal, Verdict::kChecksum);
  EXPECT_EQ(sums_, before_);
}

}  // namespace
}  // namespace drover
