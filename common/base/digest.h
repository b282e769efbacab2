// SHA-256 (FIPS 180-4) of a stream: the digest of weights and of job files. One thread.

#ifndef DROVER_COMMON_BASE_DIGEST_H_
#define DROVER_COMMON_BASE_DIGEST_H_

#include <array>
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
  // One of them ends the stream: call once.
  std::string HexDigest();     // 64 lower-case hexadecimal digits.
  std::string Base64Digest();  // RFC 4648, section 4: 44 characters.

 private:
  struct State;
  static constexpr size_t kBytes = 32;
  std::array<unsigned char, kBytes> Finish();
  std::unique_ptr<State> state_;
};

}  // namespace drover

#endif  // DROVER_COMMON_BASE_DIGEST_H_
