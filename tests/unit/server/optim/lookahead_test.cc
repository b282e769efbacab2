#include "server/optim/lookahead.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/base/philox.h"
#include "server/optim/whole_model.h"

namespace drover {
namespace {

constexpr size_t kSize = 1000;
constexpr int kUpdates = 12;

std::vector<float> Noise(uint64_t stream) {
  std::vector<float> values;
  for (size_t i = 0; i < kSize; ++i) {
    values.push_back(2.0f * UnitFloat(Philox(/*seed=*/21, stream, i)[0]) - 1.0f);
  }
  return values;
}

using Trace = std::vector<std::vector<float>>;  // Weights after each update, initial ones first.

Trace Train(const OptimizerSettings& settings) {
  WholeModel model(settings, BestIsa());
  model.AddTensor(Noise(0), MakeGroup(settings, /*may_decay=*/true, /*may_adapt=*/true));
  Trace trace = {model.tensor(0).weight};
  for (int update = 1; update <= kUpdates; ++update) {
    model.Update(/*learning_rate=*/0.01, {Noise(static_cast<uint64_t>(update))});
    trace.push_back(model.tensor(0).weight);
  }
  return trace;
}

OptimizerSettings With(Rule rule, int64_t every, double alpha) {
  OptimizerSettings settings = DefaultSettings(rule);
  settings.lookahead_every = every;
  settings.lookahead_alpha = alpha;
  return settings;
}

TEST(LookaheadTest, EveryUpdateAndTheWholeWayIsTheRule) {
  for (const RuleInfo& info : kRules) {
    EXPECT_EQ(Train(With(info.rule, 1, 1.0)), Train(DefaultSettings(info.rule))) << info.name;
  }
}

TEST(LookaheadTest, BeforeTheFirstSynchronisationIsTheRule) {
  for (const RuleInfo& info : kRules) {
    EXPECT_EQ(Train(With(info.rule, int64_t{1} << 31, 0.5)), Train(DefaultSettings(info.rule)))
        << info.name;
  }
}

TEST(LookaheadTest, NoWayAtAllIsFrozenAtEachSynchronisation) {
  for (const RuleInfo& info : kRules) {
    if (info.rule == Rule::kNagClassic) continue;  // Holds another point than the weight.
    const Trace trace = Train(With(info.rule, 4, 0.0));
    for (const size_t sync : {4u, 8u, 12u}) EXPECT_EQ(trace[sync], trace[0]) << info.name;
    EXPECT_NE(trace[5], trace[0]);
  }
}

// Zhang et al., algorithm 1, on what the rule alone does from each synchronisation to the next.
TEST(LookaheadTest, SlowWeightsMoveAShareOfTheWay) {
  const OptimizerSettings settings = With(Rule::kSgd, 3, 0.25);
  const Trace trace = Train(settings);
  std::vector<double> fast(trace[0].begin(), trace[0].end());
  std::vector<double> slow = fast;
  for (int update = 1; update <= kUpdates; ++update) {
    const std::vector<float> gradient = Noise(static_cast<uint64_t>(update));
    for (size_t i = 0; i < kSize; ++i) {
      fast[i] -= 0.01 * gradient[i];
      if (update % 3 == 0) fast[i] = slow[i] += 0.25 * (fast[i] - slow[i]);
      ASSERT_NEAR(trace[static_cast<size_t>(update)][i], fast[i], 1e-6);
    }
  }
}

// The weight of nag_classic is p = x + momentum * b; its buffer is left alone.
TEST(LookaheadTest, OfNesterovsOwnFormIsTakenAtTheWeight) {
  const OptimizerSettings settings = With(Rule::kNagClassic, 4, 0.5);
  WholeModel model(settings, BestIsa());
  model.AddTensor(Noise(0), MakeGroup(settings, true, true));
  std::vector<double> weight(model.tensor(0).weight.begin(), model.tensor(0).weight.end());
  std::vector<double> slow = weight;
  std::vector<double> buffer(kSize, 0.0);
  for (int update = 1; update <= kUpdates; ++update) {
    const std::vector<float> gradient = Noise(static_cast<uint64_t>(update));
    model.Update(0.01, {gradient});
    for (size_t i = 0; i < kSize; ++i) {
      buffer[i] = 0.9 * buffer[i] + 0.01 * gradient[i];
      weight[i] -= buffer[i];
      if (update % 4 == 0) weight[i] = slow[i] += 0.5 * (weight[i] - slow[i]);
      ASSERT_NEAR(model.tensor(0).weight[i], weight[i] - 0.9 * buffer[i], 1e-6) << update;
    }
  }
}

TEST(LookaheadTest, AllBuildsGiveTheSameBits) {
  const OptimizerSettings settings = With(Rule::kLars, 2, 0.3);
  std::vector<float> first;
  for (const Isa isa : RunnableIsas()) {
    WholeModel model(settings, isa);
    model.AddTensor(Noise(0), MakeGroup(settings, true, true));
    for (uint64_t update = 1; update <= 4; ++update) model.Update(0.5, {Noise(update)});
    if (first.empty()) first = model.tensor(0).weight;
    EXPECT_EQ(model.tensor(0).weight, first);
  }
}

TEST(LookaheadStepTest, BeginsWithTheFirstUpdateAndSynchronisesEveryKth) {
  const OptimizerSettings settings = With(Rule::kAdam, 3, 0.25);
  for (int64_t update = 1; update <= 9; ++update) {
    const LookaheadStep step = LookaheadStepOf(settings, update);
    EXPECT_EQ(step.begin, update == 1);
    EXPECT_EQ(step.sync, update % 3 == 0);
    EXPECT_EQ(step.keep, 0.75f);
    EXPECT_EQ(step.gain, 0.25f);
    EXPECT_EQ(step.ahead, 0.0f);
  }
  EXPECT_EQ(LookaheadStepOf(With(Rule::kNagClassic, 3, 0.25), 1).ahead, 0.9f);
  EXPECT_EQ(LookaheadStepOf(DefaultSettings(Rule::kAdam), 1), LookaheadStep());
}

TEST(RuleStateTest, NamesAndCountsWhatIsKept) {
  EXPECT_EQ(RuleState(Rule::kAdam).name(), "adam");
  EXPECT_EQ(RuleState(Rule::kAdam).arrays(), 2);
  const RuleState wrapped(Rule::kRmsPropCenteredMomentum, /*with_lookahead=*/true);
  EXPECT_EQ(wrapped.name(), "lookahead_rmsprop_centered_momentum");
  EXPECT_EQ(wrapped.arrays(), 4);
  for (const RuleInfo& info : kRules) {
    for (const bool lookahead : {false, true}) {
      const RuleState state(info.rule, lookahead);
      EXPECT_EQ(FindRuleState(state.name()), state);
      EXPECT_LE(state.name().size(), 40u) << "what a shard file has room for";
    }
  }
  EXPECT_EQ(FindRuleState("lookahead_"), std::nullopt);
  EXPECT_EQ(FindRuleState("lookahead_lookahead_adam"), std::nullopt);
  EXPECT_EQ(FindRuleState(""), std::nullopt);
}

}  // namespace
}  // namespace drover
