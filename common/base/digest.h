// SHA-256 (FIPS 180-4) of a stream: the digest of weights and of job files. One thread.

#ifndef DROVER_COMMON_BASE_DIGEST_H_
#define DROVER_COMMON_BASE_DIGEST_H_

#include <cstddef>
#include <memory>
#include <string>

namespace drover {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(const void* data, size_t size);
  // 64 lower-case hexadecimal digits. Ends the stream: call once.
  std::string HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_DIGEST_H_
