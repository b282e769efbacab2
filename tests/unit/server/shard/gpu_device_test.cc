// A range on a GPU, on the emulator: sums and means beside those in host memory, frames that must
// change nothing, and a GPU that is too small or not there. The state machine on it is covered by
// the tests that are linked twice, see test_device.h.

#include "server/shard/gpu_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/tensor/fixed_point.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/unit/server/shard/gradient_frames.h"
#include "tests/unit/server/shard/slow_job.h"
#include "tests/unit/server/shard/test_device.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

class GpuSumsTest : public testing::Test {
 protected:
  GpuSumsTest()
      : layout_(SlowJobLayout(3000)),
        place_(SlowJobPlace(layout_)),
        host_(HostDevice(1).MakeRange(place_).value().sums),
        gpu_(TestDevice()->MakeRange(place_).value().sums),
        elements_(layout_->SpanElements(layout_->all_blocks())) {
    rules_.limit_f32 = LeafLimit(kLeafSamples);
    rules_.limit_i64 = FixedPointLimit(kLeafSamples, place_.fraction_bits);
    rules_.scale = FixedPointScale(place_.fraction_bits);
  }
  ~GpuSumsTest() override {
    emulator::SetSeed(0);
    EXPECT_THAT(emulator::TakeErrors(), testing::IsEmpty());
  }

  template <typename T>
  ReceivedFrame Frame(const std::vector<T>& elements, uint32_t crc = 0) const {
    FrameHeader header;
    header.type = FrameType::kGradient;
    header.encoding = sizeof(T) == sizeof(float) ? FrameEncoding::kF32 : FrameEncoding::kI64;
    header.payload_crc = crc;
    return FrameOf(header, PayloadOf(elements), /*cut=*/1001);
  }

  std::vector<int64_t> Sums(int64_t begin) const {
    std::vector<int64_t> sums(elements_);
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] = (begin + static_cast<int64_t>(i)) * 1'000'003;
    }
    return sums;
  }

  // Hands the same frame to both; what they say of it.
  PayloadOutcome Sum(const ReceivedFrame& frame, bool store) {
    rules_.store = store;
    const PayloadOutcome outcome = gpu_->Sum(0, frame, rules_);
    const PayloadOutcome expected = host_->Sum(0, frame, rules_);
    EXPECT_EQ(outcome.refusal, expected.refusal);
    EXPECT_EQ(outcome.element, expected.element);
    return outcome;
  }

  void ExpectSameMean() {
    const double factor = FixedPointMeanFactor(place_.fraction_bits, kSlowJobBatch);
    host_->ToMean(0, factor);
    gpu_->ToMean(0, factor);
    ExpectEqual();
  }
  void ExpectEqual() {
    const std::span<const float> mean = gpu_->mean(0);
    const std::span<const float> expected = host_->mean(0);
    ASSERT_EQ(std::vector<float>(mean.begin(), mean.end()),
              std::vector<float>(expected.begin(), expected.end()));
    EXPECT_EQ(gpu_->block_squares(), host_->block_squares());
  }

  static constexpr int64_t kLeafSamples = kSlowJobBatch / kSlowJobLeaves;
  const std::shared_ptr<const Layout> layout_;
  const PlaceOrder place_;
  const std::unique_ptr<GradientSums> host_;
  const std::unique_ptr<GradientSums> gpu_;
  const size_t elements_;
  PayloadRules rules_;
};

TEST_F(GpuSumsTest, SumsOfBothEncodingsAndTheirMeanAreThoseOfTheHost) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    emulator::SetSeed(seed);
    Sum(Frame(SlowJobLeaf(*layout_, 0, 0)), /*store=*/true);
    Sum(Frame(SlowJobLeaf(*layout_, 0, 1)), /*store=*/false);
    Sum(Frame(Sums(-1500)), /*store=*/false);
    ExpectSameMean();
  }
}

TEST_F(GpuSumsTest, AFrameThatIsRefusedLeavesTheSumsAsTheyWere) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Sum(Frame(Sums(7)), /*store=*/true);
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), rules_.limit_f32}) {
    for (const size_t place : {size_t{0}, size_t{40}, elements_ - 1}) {
      std::vector<float> gradient = SlowJobLeaf(*layout_, 0, 0);
      gradient[place] = bad;
      const PayloadOutcome outcome = Sum(Frame(gradient), /*store=*/false);
      EXPECT_EQ(outcome.refusal, std::isfinite(bad) ? Verdict::kRange : Verdict::kNonfinite);
      EXPECT_EQ(outcome.element, place);
    }
  }
  std::vector<int64_t> sums = Sums(1);
  sums[33] = -rules_.limit_i64;
  EXPECT_EQ(Sum(Frame(sums), /*store=*/false).refusal, Verdict::kRange);
  EXPECT_EQ(Sum(Frame(Sums(1), /*crc=*/1), /*store=*/false).refusal, Verdict::kChecksum);

  ExpectSameMean();
}

TEST_F(GpuSumsTest, AMeanThatWasKeptComesBack) {
  Sum(Frame(Sums(3)), /*store=*/true);
  ExpectSameMean();
  const std::span<const float> mean = host_->mean(0);
  const std::vector<float> kept(mean.begin(), mean.end());
  const std::vector<float> zeros(kept.size(), 0.0f);
  for (GradientSums* sums : {host_.get(), gpu_.get()}) sums->LoadMean(0, zeros);
  EXPECT_EQ(gpu_->block_squares()[0], 0.0);

  for (GradientSums* sums : {host_.get(), gpu_.get()}) sums->LoadMean(0, kept);

  ExpectEqual();
}

TEST(GpuDeviceTest, ARangeThatDoesNotFitIsRefusedWithItsSize) {
  const std::shared_ptr<const ShardDevice> device = TestDevice();
  emulator::FailNextAllocation();

  const Status status = device->MakeRange(SlowJobPlace(SlowJobLayout())).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("blocks [0, 4) with rule lamb"));
  EXPECT_TRUE(device->MakeRange(SlowJobPlace(SlowJobLayout())).ok());
}

TEST(GpuDeviceTest, NamesOfDevices) {
  for (const char* wrong : {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"}) {
    const Status status = OpenShardDevice(wrong, 1).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << wrong;
    EXPECT_THAT(status.message(), HasSubstr("expected cpu, or cuda:N for GPU N"));
  }
  EXPECT_EQ(OpenShardDevice("cuda:1", 1).status().message(),
            "no GPU 1 here: there are 1, counted from 0");
  EXPECT_TRUE(OpenShardDevice("cpu", 1).ok());
}

TEST(GpuDeviceTest, ItsMemoryIsThatOfTheGpu) {
  const std::shared_ptr<GpuDevice> device = GpuDevice::Open(0).value();
  EXPECT_EQ(device->name(), "cuda:0");
  const ShardDevice::Memory before = device->ReadMemory().value();
  const RangeArrays range = device->MakeRange(SlowJobPlace(SlowJobLayout(3000))).value();

  const ShardDevice::Memory memory = device->ReadMemory().value();

  EXPECT_GT(memory.reserved, before.reserved + 3000 * 4);
  EXPECT_GE(memory.used, memory.reserved);
  EXPECT_EQ(memory.total, device->info().total_bytes);
  EXPECT_FALSE(HostDevice(1).ReadMemory().has_value());
}

}  // namespace
}  // namespace drover
