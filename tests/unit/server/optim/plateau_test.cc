#include "server/optim/plateau.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace drover {
namespace {

// Reductions after each loss, with versions 10, 20, ...
std::vector<int64_t> Reductions(const PlateauSettings& settings,
                                const std::vector<double>& losses) {
  PlateauState state;
  std::vector<int64_t> reductions;
  for (const double loss : losses) {
    state = AfterEvaluation(settings, state, state.version + 10, loss);
    reductions.push_back(state.reductions);
  }
  return reductions;
}

const std::vector<double> kLosses = {2.0,  1.0,  1.0,  0.99995, 1.5,  0.9,  0.95,
                                     0.95, 0.95, 0.95, 0.95,    0.95, 0.95, 0.5};

// The expected numbers are those of PyTorch's ReduceLROnPlateau: tests/golden/schedules.py.
TEST(PlateauTest, CountsAsPyTorchWithPatience) {
  EXPECT_EQ(Reductions({.patience = 2, .min_improvement = 1e-4}, kLosses),
            (std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3}));
}

TEST(PlateauTest, CountsAsPyTorchWithoutPatience) {
  EXPECT_EQ(Reductions({.patience = 0, .min_improvement = 0.1}, kLosses),
            (std::vector<int64_t>{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11}));
}

TEST(PlateauTest, NotANumberIsNoImprovement) {
  EXPECT_EQ(Reductions({.patience = 1, .min_improvement = 0}, {1.0, std::nan(""), std::nan("")}),
            (std::vector<int64_t>{0, 0, 1}));
}

TEST(PlateauTest, AnEvaluationThatIsRepeatedCountsOnce) {
  const PlateauSettings settings = {.patience = 0, .min_improvement = 0};
  const PlateauState once =
      AfterEvaluation(settings, AfterEvaluation(settings, {}, 10, 1.0), 20, 2.0);

  EXPECT_EQ(once.reductions, 1);
  EXPECT_EQ(AfterEvaluation(settings, once, 20, 2.0), once);
  EXPECT_EQ(AfterEvaluation(settings, once, 10, 0.5), once);
}

}  // namespace
}  // namespace drover
