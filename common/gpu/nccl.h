// The part of NCCL that Drover uses, as a table of functions that are looked up at run time: no
// program links NCCL, and one that never asks for it runs without. Declared here rather than taken
// from nccl.h, so that building needs no NCCL either; tests/gpu/nccl_header_test.cc compares the
// numbers with the real header. Immutable after loading; NCCL's own rules for threads hold.

#ifndef DROVER_COMMON_GPU_NCCL_H_
#define DROVER_COMMON_GPU_NCCL_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

// As in nccl.h of NCCL 2: ncclResult_t, ncclDataType_t, ncclRedOp_t.
using NcclResult = int;
inline constexpr NcclResult kNcclSuccess = 0;
inline constexpr NcclResult kNcclInvalidArgument = 4;
inline constexpr NcclResult kNcclInProgress = 7;
inline constexpr int kNcclInt8 = 0;
inline constexpr int kNcclInt64 = 4;
inline constexpr int kNcclSum = 0;

using NcclComm = void*;    // ncclComm_t
using NcclStream = void*;  // cudaStream_t

// One field per function, named as in NCCL without its prefix. `count` is in elements of `type`.
struct NcclApi {
  std::function<NcclResult(int* version)> GetVersion;
  std::function<const char*(NcclResult)> GetErrorString;
  std::function<const char*(NcclComm)> GetLastError;  // May be null.
  std::function<NcclResult(NcclComm* comms, int ranks, const int* devices)> CommInitAll;
  std::function<NcclResult(NcclComm)> CommDestroy;
  std::function<NcclResult(NcclComm)> CommAbort;
  std::function<NcclResult(NcclComm, NcclResult* error)> CommGetAsyncError;
  std::function<NcclResult()> GroupStart;
  std::function<NcclResult()> GroupEnd;
  // out: [count]; in: [ranks * count].
  std::function<NcclResult(const void* in, void* out, size_t count, int type, int op, NcclComm,
                           NcclStream)>
      ReduceScatter;
  // out: [count]; in: [count], read on the root only.
  std::function<NcclResult(const void* in, void* out, size_t count, int type, int root, NcclComm,
                           NcclStream)>
      Broadcast;
};

// Where it usually is: by name, then in the toolkit's folder.
std::vector<std::string> NcclLibraryNames();

// Loads the first of `names` that can be loaded; it stays loaded. kNotFound when there is none,
// with every name, the loader's words for each and how to install it; kFailedPrecondition when it
// lacks a function or is not NCCL 2.
Result<NcclApi> LoadNccl(const std::vector<std::string>& names = NcclLibraryNames());

// "2.28.9" for 22809.
std::string NcclVersionName(int version);

// OK for kNcclSuccess; else kInternal (kInvalidArgument for that one) with "what: its description"
// and NCCL's last error line, if it has one. `comm` may be null.
Status NcclStatus(const NcclApi& nccl, NcclResult result, const std::string& what,
                  NcclComm comm = nullptr);

}  // namespace drover

#endif  // DROVER_COMMON_GPU_NCCL_H_
