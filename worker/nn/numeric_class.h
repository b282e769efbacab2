// What fixes the bits of a worker: workers of one numeric class compute equal gradients. A job
// records the class; a worker of another one is refused unless the job allows a mixture.
// Thread-safe.

#ifndef DROVER_WORKER_NN_NUMERIC_CLASS_H_
#define DROVER_WORKER_NN_NUMERIC_CLASS_H_

#include <string>

namespace drover {

// Library, version, instruction set that the library uses here and precision, as in
// "cpu onednn-2.6.3 avx512_core f32". Printable ASCII, at most 100 characters.
std::string NumericClassOfCpu();

}  // namespace drover

#endif  // DROVER_WORKER_NN_NUMERIC_CLASS_H_
