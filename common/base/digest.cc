#include "common/base/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

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

std::string Sha256::HexDigest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned int size = 0;
  DROVER_CHECK(EVP_DigestFinal_ex(state_->context, bytes.data(), &size) == 1);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

}  // namespace drover
