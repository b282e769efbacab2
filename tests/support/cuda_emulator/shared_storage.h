// One shared array of one block, with the history of each element: enough to see that a value was
// never written, or that two threads met at it without a barrier between. Not thread-safe.

#ifndef DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_STORAGE_H_
#define DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_STORAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/site.h"

namespace drover::emulator {

// When a thread touched an element: all that happened before the block's next complete barrier, or
// the next complete __syncwarp of the thread's warp for threads of that warp, is ordered.
struct Moment {
  static constexpr int kNobody = -1;
  static constexpr int kMany = -2;  // Several threads, all of `warp`, or of several warps if kMany.

  int thread = kNobody;
  int warp = kNobody;
  int64_t barriers = 0;
  int64_t warp_barriers = 0;
};

class SharedStorage {
 public:
  // `name` as in the source; all bytes begin as 0xff: NaN, -1.
  SharedStorage(std::string name, const Site& site, size_t element_bytes, size_t count);

  // Whether this is the array that was declared so.
  bool Is(const char* name, const Site& site, size_t element_bytes) const;

  // Copies one element out or in, for the running thread, which fails when it may not.
  void Read(int64_t index, void* value);
  void Write(int64_t index, const void* value);

 private:
  struct History {
    Moment write;
    Moment reads;
  };

  // Why the running thread may not touch an element; empty when it may.
  std::string WhyNoElement(int64_t index) const;
  std::string WhyNoRead(int64_t index, const Moment& now) const;
  std::string WhyNoWrite(int64_t index, const Moment& now) const;

  const std::string name_;
  const Site site_;
  const size_t element_bytes_;
  const size_t count_;
  const std::unique_ptr<char[]> bytes_;  // Exactly as long, so that AddressSanitizer sees its end.
  std::vector<History> histories_;
};

// The array of the running thread's block; made when the first thread comes to its declaration.
SharedStorage* DeclareShared(const char* name, const Site& site, size_t element_bytes,
                             size_t count);

}  // namespace drover::emulator

#endif  // DROVER_TESTS_SUPPORT_CUDA_EMULATOR_SHARED_STORAGE_H_
