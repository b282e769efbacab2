// What files that call oneDNN share: its exceptions as a Status, and memory that it only reads.
// Not for headers that others include: oneDNN stays inside worker/nn/*_cpu.cc. Functions only.

#ifndef DROVER_WORKER_NN_ONEDNN_CPU_H_
#define DROVER_WORKER_NN_ONEDNN_CPU_H_

#include <dnnl.hpp>
#include <exception>

#include "common/base/status.h"

namespace drover {

// kInternal with oneDNN's words when `work` throws.
template <typename Work>
Status TryOneDnn(const Work& work) {
  try {
    work();
  } catch (const std::exception& error) {
    return Status(Code::kInternal, error.what());
  }
  return Status();
}

// oneDNN takes every pointer as writable; what stands under ..._SRC or ..._WEIGHTS it reads only.
inline dnnl::memory ReadOnly(const dnnl::memory::desc& desc, const dnnl::engine& engine,
                             const float* values) {
  return dnnl::memory(desc, engine, const_cast<float*>(values));
}

}  // namespace drover

#endif  // DROVER_WORKER_NN_ONEDNN_CPU_H_
