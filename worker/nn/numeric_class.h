// What fixes the bits of a worker: workers of one numeric class compute equal gradients. A job
// records the class; a worker of another one is refused unless the job allows a mixture.
// Thread-safe.

#ifndef DROVER_WORKER_NN_NUMERIC_CLASS_H_
#define DROVER_WORKER_NN_NUMERIC_CLASS_H_

#include <string>

namespace drover {

// Library, version, the instruction set that the library uses here and the sizes of the caches, as
// in "cpu onednn-2.6.3 avx512_core_bf16 caches 48/1024/32768 KiB". The library chooses from the
// caches in which blocks a convolution or a bfloat16 product is summed; plain float32 products do
// not depend on them (gemm.h), but one name for all is easier to reason about. Printable ASCII, at
// most 100 characters.
std::string NumericClassOfCpu();

}  // namespace drover

#endif  // DROVER_WORKER_NN_NUMERIC_CLASS_H_
