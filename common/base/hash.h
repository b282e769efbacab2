// Fast hashes of content that nobody forges: layouts, files. XXH3, Yann Collet,
// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. For weights see digest.h.

#ifndef DROVER_COMMON_BASE_HASH_H_
#define DROVER_COMMON_BASE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace drover {

// XXH3-64 of `size` bytes. Thread-safe.
uint64_t Hash64(const void* data, size_t size);

// XXH3-128 of a stream, as 32 lower-case hexadecimal digits, high half first. One thread.
class Hash128 {
 public:
  Hash128();
  ~Hash128();
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  void Update(const void* data, size_t size);
  std::string HexDigest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_HASH_H_
