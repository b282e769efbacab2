#include "server/optim/update.h"

#include "common/base/check.h"

namespace drover {

// Each from its own object, see update_cpu_kernels.cc.
namespace generic {
CpuPasses Passes(Rule rule);
}
namespace avx2 {
CpuPasses Passes(Rule rule);
}
namespace avx512 {
CpuPasses Passes(Rule rule);
}

CpuPasses CpuPassesFor(Rule rule) { return CpuPassesFor(rule, BestIsa()); }

CpuPasses CpuPassesFor(Rule rule, Isa isa) {
  DROVER_CHECK(isa <= BestIsa());
  switch (isa) {
    case Isa::kGeneric:
      return generic::Passes(rule);
    case Isa::kAvx2:
      return avx2::Passes(rule);
    case Isa::kAvx512:
      return avx512::Passes(rule);
  }
  return {};  // Not reached: the switch is complete.
}

}  // namespace drover
