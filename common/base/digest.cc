#include "common/base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "common/base/check.h"

namespace drover {

struct Sha256::State {
  EVP_MD_CTX* context = nullptr;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  state_->context = EVP_MD_CTX_new();
  DROVER_CHECK(state_->context != nullptr);
  DROVER_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(state_->context); }

void Sha256::Update(const void* data, size_t size) {
  DROVER_CHECK(EVP_DigestUpdate(state_->context, data, size) == 1);
}

std::array<unsigned char, Sha256::kBytes> Sha256::Finish() {
  std::array<unsigned char, kBytes> bytes;
  unsigned int size = 0;
  DROVER_CHECK(EVP_DigestFinal_ex(state_->context, bytes.data(), &size) == 1);
  DROVER_CHECK(size == bytes.size());
  return bytes;
}

std::string Sha256::HexDigest() {
  std::string hex;
  for (const unsigned char byte : Finish()) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string Sha256::Base64Digest() {
  const std::array<unsigned char, kBytes> bytes = Finish();
  std::array<unsigned char, (kBytes + 2) / 3 * 4 + 1> text;  // Ends with a zero.
  const int size = EVP_EncodeBlock(text.data(), bytes.data(), static_cast<int>(bytes.size()));
  return std::string(text.begin(), text.begin() + size);
}

}  // namespace drover
