// A small job for tests of a shard's shell, and a slow obvious model of what the shard must hold
// after each step: leaf gradients are a pure function of step and leaf, the update is one loop over
// elements with the formulas of elementwise.h. With Lookahead every second update.

#ifndef DROVER_TESTS_UNIT_SERVER_SHARD_SLOW_JOB_H_
#define DROVER_TESTS_UNIT_SERVER_SHARD_SLOW_JOB_H_

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/frame.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/layout.h"
#include "common/tls/job_token.h"
#include "server/optim/lookahead.h"
#include "server/optim/settings.h"
#include "server/optim/step_scalars.h"
#include "server/shard/accumulator.h"
#include "server/step_messages.h"
#include "tests/support/random_floats.h"
#include "tests/support/slow_square_sum.h"
#include "tests/unit/server/optim/rule_formulas.h"
#include "tests/unit/server/shard/gradient_frames.h"

namespace drover {

inline constexpr uint64_t kSlowJobId = 0x1234;
inline constexpr uint32_t kSlowJobLeaves = 4;
inline constexpr int64_t kSlowJobBatch = 64;
inline constexpr uint64_t kSlowJobSeed = 99;

// Tensors with gaps between them: 5, 7 and `last` elements.
inline std::shared_ptr<const Layout> SlowJobLayout(int64_t last = 70'000) {
  const InitRule uniform = {InitRule::Kind::kUniform, 0.5f};
  const InitRule ones = {InitRule::Kind::kConstant, 1.0f};
  Result<Layout> layout =
      Layout::Make({{"bias", {5}, {}}, {"scale", {7}, ones}, {"weight", {last}, uniform}});
  EXPECT_TRUE(layout.ok());
  return std::make_shared<const Layout>(std::move(layout).value());
}

inline PlaceOrder SlowJobPlace(const std::shared_ptr<const Layout>& layout, uint32_t epoch = 1,
                               RuleState rule = Rule::kLamb) {
  PlaceOrder place;
  place.job = kSlowJobId;
  place.token_key = std::string(kJobKeyBytes, 'k');
  place.epoch = epoch;
  place.shard_index = 0;
  place.shard_count = 1;
  place.layout = layout;
  place.blocks = layout->all_blocks();
  place.shapes = {{0, kSlowJobLeaves, kSlowJobBatch}};
  place.fraction_bits = DefaultFractionBits(kSlowJobBatch);
  place.seed = kSlowJobSeed;
  place.rule = rule;
  return place;
}

// Sum of gradients of one leaf: [span elements] float32, gaps included.
inline std::vector<float> SlowJobLeaf(const Layout& layout, int64_t step, uint32_t leaf) {
  std::vector<float> gradient(layout.SpanElements(layout.all_blocks()));
  for (size_t i = 0; i < gradient.size(); ++i) {
    const uint64_t stream = static_cast<uint64_t>(step) * kSlowJobLeaves + leaf;
    gradient[i] = 8.0f * (RandomFloat(stream, i) - 0.5f);
  }
  return gradient;
}

// The numbers of one update: every tensor with decay, and a scale of its own.
inline UpdateNumbers SlowJobNumbers(const Layout& layout, int64_t update,
                                    RuleState rule = Rule::kLamb) {
  OptimizerSettings settings = DefaultSettings(rule.rule);
  if (rule.lookahead) settings.lookahead_every = 2;
  settings.lookahead_alpha = 0.375;
  UpdateNumbers numbers;
  numbers.lookahead = LookaheadStepOf(settings, update);
  numbers.groups.push_back(ComputeStepScalars(settings, {true, true}, update, 0.01, 1.0));
  numbers.groups.push_back(ComputeStepScalars(settings, {false, false}, update, 0.01, 0.5));
  for (size_t tensor = 0; tensor < layout.tensors().size(); ++tensor) {
    numbers.tensor_groups.push_back(tensor == 2 ? 0 : 1);
    numbers.tensor_scales.push_back(0.01f * static_cast<float>(tensor + 1));
  }
  return numbers;
}

inline CommitOrder SlowJobCommit(const Layout& layout, int64_t step, uint32_t epoch = 1,
                                 RuleState rule = Rule::kLamb) {
  return {{kSlowJobId, epoch, step}, /*skip=*/false, SlowJobNumbers(layout, step + 1, rule)};
}

inline FrameHeader SlowJobHeader(FrameType type, const Layout& layout, int64_t step,
                                 LeafRange leaves, uint32_t epoch = 1) {
  FrameHeader header;
  header.type = type;
  header.job = kSlowJobId;
  header.epoch = epoch;
  header.step = static_cast<uint64_t>(step);
  header.layout_hash = layout.hash();
  header.leaf_begin = leaves.begin;
  header.leaf_end = leaves.end;
  return header;
}

// Header and payload of every frame of one leaf: its chunks, then its statistics.
struct SlowJobFrame {
  FrameHeader header;
  std::string payload;
};
inline std::vector<SlowJobFrame> SlowJobFrames(const Layout& layout, int64_t step, uint32_t leaf,
                                               uint32_t epoch = 1) {
  const std::vector<float> gradient = SlowJobLeaf(layout, step, leaf);
  std::vector<SlowJobFrame> frames;
  for (const BlockRange chunk : layout.Chunks(layout.all_blocks())) {
    SlowJobFrame& frame = frames.emplace_back();
    frame.header = SlowJobHeader(FrameType::kGradient, layout, step, {leaf, leaf + 1}, epoch);
    frame.header.encoding = FrameEncoding::kF32;
    frame.header.block_begin = chunk.begin;
    frame.header.block_count = chunk.size();
    frame.payload.assign(reinterpret_cast<const char*>(gradient.data() + layout.SpanOffset(chunk)),
                         layout.SpanElements(chunk) * sizeof(float));
  }
  SlowJobFrame& stats = frames.emplace_back();
  stats.header = SlowJobHeader(FrameType::kStats, layout, step, {leaf, leaf + 1}, epoch);
  stats.header.encoding = FrameEncoding::kI64;
  const int64_t samples = kSlowJobBatch / kSlowJobLeaves;
  std::byte bytes[kStepStatsBytes];
  EncodeStepStats({/*loss=*/int64_t{leaf} + 1, /*correct=*/3, samples, /*tokens=*/0}, bytes);
  stats.payload.assign(reinterpret_cast<const char*>(bytes), sizeof(bytes));
  return frames;
}

// Hands all leaves of a step to an accumulator; whether the last one completed the step.
inline bool FillStep(Accumulator* accumulator, int64_t step, uint32_t epoch = 1) {
  bool complete = false;
  for (uint32_t leaf = 0; leaf < kSlowJobLeaves; ++leaf) {
    for (const SlowJobFrame& frame : SlowJobFrames(accumulator->layout(), step, leaf, epoch)) {
      complete = accumulator->Receive(FrameOf(frame.header, frame.payload)).step_complete;
    }
  }
  return complete;
}

// One of each kind of state: three arrays, the ratio on the gradient, slow weights behind none to
// three arrays and behind a rule that holds another point.
inline std::vector<RuleState> StatesOfEachKind() {
  return {Rule::kSgd,
          Rule::kAmsGrad,
          Rule::kRmsPropCenteredMomentum,
          Rule::kLars,
          {Rule::kSgd, /*with_lookahead=*/true},
          {Rule::kNagClassic, true},
          {Rule::kLars, true},
          {Rule::kLamb, true},
          {Rule::kAmsGradW, true}};
}

class SlowJob {
 public:
  explicit SlowJob(std::shared_ptr<const Layout> layout, Rule rule = Rule::kLamb)
      : layout_(std::move(layout)), formulas_(RuleFormulasOf(rule)) {
    const size_t elements = layout_->SpanElements(layout_->all_blocks());
    weights_.assign(elements, 0.0f);
    slots_.fill(std::vector<float>(elements, 0.0f));
    slow_.assign(elements, 0.0f);
    for (uint32_t tensor = 0; tensor < layout_->tensors().size(); ++tensor) {
      FillInitial(layout_->tensors()[tensor].init, kSlowJobSeed, tensor, 0,
                  layout_->tensor_size(tensor), weights_.data() + layout_->tensor_offset(tensor));
    }
  }

  const std::vector<float>& weights() const { return weights_; }
  int64_t version() const { return version_; }

  // Mean gradient of a step as fixed point says it: integers, added, then one division.
  static std::vector<float> MeanGradient(const Layout& layout, int64_t step) {
    const int bits = DefaultFractionBits(kSlowJobBatch);
    std::vector<int64_t> sums(layout.SpanElements(layout.all_blocks()), 0);
    for (uint32_t leaf = 0; leaf < kSlowJobLeaves; ++leaf) {
      const std::vector<float> gradient = SlowJobLeaf(layout, step, leaf);
      for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] += std::llrint(std::ldexp(static_cast<double>(gradient[i]), bits));
      }
    }
    std::vector<float> mean(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      const double sum = static_cast<double>(sums[i]);
      mean[i] = static_cast<float>(std::ldexp(sum, -bits) / static_cast<double>(kSlowJobBatch));
    }
    return mean;
  }

  // Sums of squares per block of `values` [span].
  static std::vector<double> BlockSquares(const Layout& layout, const std::vector<float>& values) {
    std::vector<double> squares;
    for (const Block& block : layout.blocks()) {
      squares.push_back(SlowSquareSum(std::span(values).subspan(block.offset, block.size)));
    }
    return squares;
  }

  // What the next step measures: [span] float32, gaps 0. Changes nothing.
  std::vector<float> Directions(const UpdateNumbers& numbers) const {
    SlowJob copy = *this;
    std::vector<float> directions(weights_.size(), 0.0f);
    copy.Update(numbers, &directions);
    return directions;
  }

  void Apply(const UpdateNumbers& numbers) {
    Update(numbers, nullptr);
    ++version_;
  }
  void Skip() { ++version_; }

 private:
  void Update(const UpdateNumbers& numbers, std::vector<float>* directions) {
    const std::vector<float> gradient = MeanGradient(*layout_, version_);
    for (size_t tensor = 0; tensor < layout_->tensors().size(); ++tensor) {
      const float scale = numbers.tensor_scales[tensor];
      const StepScalars& plain = numbers.groups[numbers.tensor_groups[tensor]];
      const StepScalars s = formulas_.with_scale(plain, scale);
      const uint64_t begin = layout_->tensor_offset(tensor);
      for (uint64_t i = begin; i < begin + layout_->tensor_size(tensor); ++i) {
        Element e = {weights_[i], gradient[i] * s.clip, slots_[0][i], slots_[1][i], slots_[2][i]};
        if (directions != nullptr) {
          Element measured = e;
          measured.g = gradient[i] * plain.clip;
          (*directions)[i] = formulas_.measured(plain, measured);
        }
        const float u = formulas_.direction(s, e);
        slots_[0][i] = e.slot0;
        slots_[1][i] = e.slot1;
        slots_[2][i] = e.slot2;
        if (numbers.lookahead.begin) slow_[i] = weights_[i];
        weights_[i] = e.w - formulas_.step_factor(scale) * u;
        if (numbers.lookahead.sync) {
          const float point = weights_[i] + numbers.lookahead.ahead * slots_[0][i];
          slow_[i] = numbers.lookahead.keep * slow_[i] + numbers.lookahead.gain * point;
          // nag_classic holds another point than the weight.
          weights_[i] =
              numbers.lookahead.ahead == 0.0f ? slow_[i] : weights_[i] + (slow_[i] - point);
        }
      }
    }
  }

  std::shared_ptr<const Layout> layout_;
  RuleFormulas formulas_;
  std::vector<float> weights_;
  std::array<std::vector<float>, kSlotsMax> slots_;
  std::vector<float> slow_;
  int64_t version_ = 0;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_SHARD_SLOW_JOB_H_
