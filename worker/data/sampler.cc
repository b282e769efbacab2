#include "worker/data/sampler.h"

#include "common/base/check.h"
#include "worker/data/permutation.h"

namespace drover {

void SamplePositions(uint64_t seed, uint64_t dataset_size, uint64_t batch, uint32_t leaves,
                     uint64_t step, uint32_t leaf, std::vector<uint64_t>* indices) {
  DROVER_CHECK(dataset_size > 0 && leaves > 0 && batch % leaves == 0 && leaf < leaves);
  const uint64_t samples = batch / leaves;
  indices->clear();
  indices->reserve(samples);
  uint64_t position = step * batch + leaf * samples;
  Permutation permutation(dataset_size, seed, position / dataset_size);
  uint64_t place = position % dataset_size;
  for (uint64_t i = 0; i < samples; ++i) {
    if (place == dataset_size) {
      permutation = Permutation(dataset_size, seed, (position + i) / dataset_size);
      place = 0;
    }
    indices->push_back(permutation.At(place++));
  }
}

}  // namespace drover
