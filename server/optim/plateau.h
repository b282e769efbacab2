// Has the evaluation loss stopped to fall? The state of the schedule `plateau`: a fold over the
// evaluations of a job in the order of their versions. The rules are those of PyTorch's
// ReduceLROnPlateau with mode "min" and threshold_mode "rel". Pure.

#ifndef DROVER_SERVER_OPTIM_PLATEAU_H_
#define DROVER_SERVER_OPTIM_PLATEAU_H_

#include <cstdint>
#include <limits>

namespace drover {

struct PlateauSettings {
  int64_t patience = 3;           // >= 0. Evaluations without improvement that change nothing yet.
  double min_improvement = 1e-4;  // 0 <= . < 1. Share of the best loss; less is no improvement.

  friend bool operator==(const PlateauSettings&, const PlateauSettings&) = default;
};

struct PlateauState {
  int64_t version = 0;  // Weights of the last evaluation that was counted; 0: none yet.
  double best = std::numeric_limits<double>::infinity();
  int64_t bad = 0;         // Evaluations since the best one, or since the last reduction.
  int64_t reductions = 0;  // Times the learning rate has been multiplied by the factor.

  friend bool operator==(const PlateauState&, const PlateauState&) = default;
};

// The state after the evaluation of `version` gave `loss`. NaN is no improvement. One that is not
// newer than the state changes nothing, so that a repeated evaluation counts once.
PlateauState AfterEvaluation(const PlateauSettings& settings, PlateauState state, int64_t version,
                             double loss);

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_PLATEAU_H_
