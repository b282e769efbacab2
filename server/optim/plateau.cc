#include "server/optim/plateau.h"

namespace drover {

PlateauState AfterEvaluation(const PlateauSettings& settings, PlateauState state, int64_t version,
                             double loss) {
  if (version <= state.version) return state;
  state.version = version;
  if (loss < state.best * (1.0 - settings.min_improvement)) {
    state.best = loss;
    state.bad = 0;
    return state;
  }
  if (++state.bad > settings.patience) {
    ++state.reductions;
    state.bad = 0;
  }
  return state;
}

}  // namespace drover
