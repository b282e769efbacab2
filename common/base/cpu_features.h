// Which of our three builds of a kernel this CPU can run. Thread-safe.

#ifndef DROVER_COMMON_BASE_CPU_FEATURES_H_
#define DROVER_COMMON_BASE_CPU_FEATURES_H_

#include <vector>

namespace drover {

enum class Isa { kGeneric, kAvx2, kAvx512 };

const char* IsaName(Isa isa);  // "generic", "avx2", "avx512".

// The fastest that runs here.
Isa BestIsa();

// All that run here, slowest first; for tests and `drover check`.
std::vector<Isa> RunnableIsas();

}  // namespace drover

#endif  // DROVER_COMMON_BASE_CPU_FEATURES_H_
