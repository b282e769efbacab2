// Which samples make up a leaf: a pure function of seed and positions, so that a leaf can be
// computed by anyone, again, at any time. Thread-safe.

#ifndef DROVER_WORKER_DATA_SAMPLER_H_
#define DROVER_WORKER_DATA_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace drover {

// Dataset indices of the positions [first, first + count), in order, of an endless row of data
// passes, each a permutation of [0, dataset_size). The steps of a job take it from 0 without gaps,
// so every data pass holds every sample once, also where a batch crosses from one pass to the next
// or holds several. dataset_size >= 1, first + count < 2^64.
void SamplePositions(uint64_t seed, uint64_t dataset_size, uint64_t first, uint64_t count,
                     std::vector<uint64_t>* indices);

}  // namespace drover

#endif  // DROVER_WORKER_DATA_SAMPLER_H_
