#include "worker/nn/lane.h"

#include <omp.h>

namespace drover {

void PinLaneToOneThread() { omp_set_num_threads(1); }

}  // namespace drover
