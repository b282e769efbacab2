// A lane is one thread with its own Model. CPU lanes are single-threaded, so that the bits do not
// depend on the number of cores; a worker runs one lane per core instead.

#ifndef DROVER_WORKER_NN_LANE_H_
#define DROVER_WORKER_NN_LANE_H_

namespace drover {

// Must be the first call of each thread that uses a Model. Limits the OpenMP loops that this thread
// starts (oneDNN's) to the thread itself; other threads are not affected. Repeatable.
void PinLaneToOneThread();

}  // namespace drover

#endif  // DROVER_WORKER_NN_LANE_H_
