// Where the numbers of a shard lie and are computed: host memory and cores, or a GPU. Makes the two
// halves that belong together, for one range. Thread-safe: immutable.

#ifndef DROVER_SERVER_SHARD_SHARD_DEVICE_H_
#define DROVER_SERVER_SHARD_SHARD_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "server/shard/gradient_sums.h"
#include "server/shard/weight_arrays.h"

namespace drover {

struct RangeArrays {
  std::unique_ptr<GradientSums> sums;
  std::unique_ptr<WeightArrays> weights;
};

class ShardDevice {
 public:
  virtual ~ShardDevice() = default;

  // Empty arrays of the ordered range. kResourceExhausted when it does not fit.
  virtual Result<RangeArrays> MakeRange(const PlaceOrder& place) const = 0;

  virtual std::string name() const = 0;  // As in the flag: "cpu" or "cuda:N".
  // Of a device with memory of its own; any thread. Bytes.
  struct Memory {
    int64_t used = 0;      // By all programs.
    int64_t reserved = 0;  // By this one.
    int64_t total = 0;
  };
  virtual std::optional<Memory> ReadMemory() const { return std::nullopt; }
};

class HostDevice : public ShardDevice {
 public:
  // At least 1, for passes over weights.
  explicit HostDevice(int threads) : threads_(threads) {}
  Result<RangeArrays> MakeRange(const PlaceOrder& place) const override;
  std::string name() const override { return "cpu"; }

 private:
  const int threads_;
};

}  // namespace drover

#endif  // DROVER_SERVER_SHARD_SHARD_DEVICE_H_
