// Which samples make up a leaf: a pure function of job constants, step and leaf, so that a leaf can
// be computed by anyone, again, at any time. Thread-safe.

#ifndef DROVER_WORKER_DATA_SAMPLER_H_
#define DROVER_WORKER_DATA_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace drover {

// Dataset indices of leaf `leaf` of step `step`, in order. Step t is the positions [t * batch,
// (t+1) * batch) of an endless row of data passes, each a permutation of [0, dataset_size); leaf l
// is samples [l * batch / leaves, (l+1) * batch / leaves) of the step. Every data pass holds every
// sample once, also where a batch crosses from one pass to the next or holds several.
// dataset_size >= 1, leaves divides batch, leaf < leaves, (step + 1) * batch < 2^64.
void SamplePositions(uint64_t seed, uint64_t dataset_size, uint64_t batch, uint32_t leaves,
                     uint64_t step, uint32_t leaf, std::vector<uint64_t>* indices);

}  // namespace drover

#endif  // DROVER_WORKER_DATA_SAMPLER_H_
