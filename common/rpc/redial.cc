#include "common/rpc/redial.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/rpc/channel.h"

namespace drover {
namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(kReconnectInitialMs);
constexpr Duration kPauseMax = std::chrono::milliseconds(kReconnectMaxMs);
constexpr Duration kRefusedMax = std::chrono::milliseconds(kRedialRefusedMaxMs);
constexpr Duration kLong = std::chrono::milliseconds(kRedialForgetMs);

}  // namespace

Duration Redial::PauseAfter(const Ending& ending) {
  const bool refused = !ending.status.ok() && ending.status.code() != Code::kUnavailable;
  const bool good = ending.lasted >= kLong || (ending.useful && !refused);
  if (good) {
    pause_ = kPauseMin;
    told_.clear();
  } else {
    pause_ = std::clamp(2 * pause_, kPauseMin, refused ? kRefusedMax : kPauseMax);
  }
  std::string reason = ending.status.ToString();
  is_news_ = reason != told_;
  told_ = std::move(reason);
  return pause_;
}

}  // namespace drover
