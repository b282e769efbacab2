#include "worker/data/sampler.h"

#include "common/base/check.h"
#include "worker/data/permutation.h"

namespace drover {

void SamplePositions(uint64_t seed, uint64_t dataset_size, uint64_t first, uint64_t count,
                     std::vector<uint64_t>* indices) {
  DROVER_CHECK(dataset_size > 0);
  indices->clear();
  indices->reserve(count);
  Permutation permutation(dataset_size, seed, first / dataset_size);
  uint64_t place = first % dataset_size;
  for (uint64_t i = 0; i < count; ++i) {
    if (place == dataset_size) {
      permutation = Permutation(dataset_size, seed, (first + i) / dataset_size);
      place = 0;
    }
    indices->push_back(permutation.At(place++));
  }
}

}  // namespace drover
