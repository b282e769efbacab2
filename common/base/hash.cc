#include "common/base/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "common/base/check.h"

namespace drover {

uint64_t Hash64(const void* data, size_t size) { return XXH3_64bits(data, size); }

struct Hash128::State {
  XXH3_state_t* xxh = nullptr;
};

Hash128::Hash128() : state_(std::make_unique<State>()) {
  state_->xxh = XXH3_createState();
  DROVER_CHECK(state_->xxh != nullptr);
  XXH3_128bits_reset(state_->xxh);
}

Hash128::~Hash128() { XXH3_freeState(state_->xxh); }

void Hash128::Update(const void* data, size_t size) {
  XXH3_128bits_update(state_->xxh, data, size);
}

std::string Hash128::HexDigest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace drover
