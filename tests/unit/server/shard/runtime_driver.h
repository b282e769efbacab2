// Drives a ShardRuntime as coordinator and workers would, in the thread of a test: orders in,
// replies out, leaves straight into the accumulator. Waits with a deadline, never sleeps.

#ifndef DROVER_TESTS_UNIT_SERVER_SHARD_RUNTIME_DRIVER_H_
#define DROVER_TESTS_UNIT_SERVER_SHARD_RUNTIME_DRIVER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/bounded_queue.h"
#include "server/shard/shard_runtime.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {

inline constexpr Duration kTestPatience = std::chrono::seconds(60);

class RuntimeDriver {
 public:
  explicit RuntimeDriver(FileSystem& fs = FileSystem::Real())
      : fs_(fs),
        state_dir_(testing::TempDir() + "shard_runtime_" +
                   testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(state_dir_);
    options_.state_dir = state_dir_;
    options_.threads = 2;
    options_.device = TestDevice(2);
    options_.reader_patience = std::chrono::milliseconds(20);
  }
  ~RuntimeDriver() {
    runtime_.reset();
    std::filesystem::remove_all(state_dir_);
  }

  ShardRuntimeOptions& options() { return options_; }
  const std::string& state_dir() const { return state_dir_; }
  ShardRuntime& runtime() { return *runtime_; }
  ShardMetrics& metrics() { return metrics_; }
  MetricRegistry& registry() { return registry_; }

  // Begins, or begins again on the same directory.
  void Start() {
    runtime_.reset();
    replies_ = std::make_unique<BoundedQueue<ShardReply>>(100);
    Result<std::unique_ptr<ShardRuntime>> started =
        ShardRuntime::Start(fs_, Clock::Real(), options_, &metrics_,
                            [this](ShardReply reply) { replies_->TryPush(std::move(reply)); });
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    runtime_ = std::move(started).value();
  }

  // The next reply, which must be a T.
  template <typename T>
  T Await() {
    std::optional<ShardReply> reply = replies_->PopFor(kTestPatience);
    if (!reply.has_value() || !std::holds_alternative<T>(*reply)) {
      ADD_FAILURE() << (reply.has_value() ? "reply number " + std::to_string(reply->index())
                                          : std::string("no reply"));
      return T();
    }
    return std::get<T>(std::move(*reply));
  }
  bool HasReply() { return replies_->PopFor(Duration(0)).has_value(); }

  PlacedReply Place(const PlaceOrder& order) {
    runtime_->Post(order);
    return Await<PlacedReply>();
  }

  // All leaves of `step`, as the threads of TensorService would hand them in.
  void Push(int64_t step, uint32_t epoch = 1) {
    const std::shared_ptr<Accumulator> accumulator = runtime_->accumulator();
    ASSERT_NE(accumulator, nullptr);
    ASSERT_TRUE(FillStep(accumulator.get(), step, epoch));
    runtime_->Post(GradientComplete{{kSlowJobId, epoch, step}});
  }

  // The weights of a version as a subscriber gets them; empty when it is gone.
  std::vector<float> Pull(const Layout& layout, int64_t version, uint32_t epoch = 1) {
    class Taker : public Subscriber {
     public:
      void SendWeights(std::shared_ptr<const WeightsSend> send) override {
        sends.TryPush(std::move(send));
      }
      void SendGone(const FrameHeader&) override { sends.TryPush(nullptr); }
      void Cancel() override {}
      BoundedQueue<std::shared_ptr<const WeightsSend>> sends{4};
    };
    const auto taker = std::make_shared<Taker>();
    const Result<std::optional<FrameHeader>> gone = runtime_->publisher().Pull(
        taker, SlowJobHeader(FrameType::kPull, layout, version, {0, 0}, epoch));
    EXPECT_TRUE(gone.ok());
    if (!gone.ok() || gone.value().has_value()) return {};
    const auto send = taker->sends.PopFor(kTestPatience);
    runtime_->publisher().Remove(taker.get());
    if (!send.has_value() || *send == nullptr) return {};
    std::vector<float> weights;
    for (size_t chunk = 0; chunk < (*send)->chunk_count(); ++chunk) {
      const Result<ReceivedFrame> frame = ParseFrame(WeightsSend::MakeFrame(*send, chunk));
      EXPECT_TRUE(frame.ok() && frame.value().PayloadCrcMatches());
      const std::string bytes = frame.value().PayloadText();
      const auto* elements = reinterpret_cast<const float*>(bytes.data());
      weights.insert(weights.end(), elements, elements + bytes.size() / sizeof(float));
    }
    return weights;
  }

 private:
  FileSystem& fs_;
  const std::string state_dir_;
  ShardRuntimeOptions options_;
  MetricRegistry registry_{MetricRole::kShard};
  ShardMetrics metrics_{&registry_};
  std::unique_ptr<BoundedQueue<ShardReply>> replies_;
  std::unique_ptr<ShardRuntime> runtime_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_SERVER_SHARD_RUNTIME_DRIVER_H_
