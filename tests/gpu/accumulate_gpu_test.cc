// Sums and means on a GPU have the bits of FixedPointPasses, and bad gradients change nothing. On
// the emulator (tests/unit/server/optim) and on a real GPU.

#include "common/tensor/accumulate_gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "common/base/philox.h"
#include "common/tensor/bf16.h"
#include "common/tensor/fixed_point.h"
#include "common/tensor/layout.h"
#include "server/optim/mean_gpu.h"
#include "server/optim/update_plan_gpu.h"
#include "tests/gpu/require_gpu.h"

namespace drover {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kFractionBits = 40;
constexpr int64_t kSamples = 8;
constexpr int64_t kBefore = 77;  // What the sums hold before anything comes.

// One leaf's gradient in an encoding, as bytes.
struct Frame {
  GradientEncoding encoding = GradientEncoding::kF32;
  std::vector<float> floats;
  std::vector<uint16_t> halves;
  std::vector<int64_t> integers;

  const void* data() const {
    if (encoding == GradientEncoding::kF32) return floats.data();
    if (encoding == GradientEncoding::kBf16) return halves.data();
    return integers.data();
  }
  size_t bytes() const {
    return floats.size() * sizeof(float) + halves.size() * sizeof(uint16_t) +
           integers.size() * sizeof(int64_t);
  }
};

std::vector<float> Gradient(size_t size, uint64_t stream) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) {
    const auto words = Philox(/*seed=*/8, stream, i);
    const float value = std::ldexp(UnitFloat(words[0]), static_cast<int>(words[1] % 50) - 34);
    values[i] = words[2] % 2 == 0 ? value : -value;
  }
  return values;
}

Frame FrameOf(GradientEncoding encoding, size_t size, uint64_t stream) {
  Frame frame;
  frame.encoding = encoding;
  frame.floats = Gradient(size, stream);
  if (encoding == GradientEncoding::kBf16) {
    frame.halves.resize(size);
    RoundToBf16(frame.floats.data(), size, frame.halves.data());
    frame.floats.clear();
  }
  if (encoding == GradientEncoding::kI64) {
    frame.integers.resize(size);
    FixedPointPassesFor(BestIsa()).store_f32(frame.floats.data(), size,
                                             FixedPointScale(kFractionBits), frame.integers.data());
    frame.floats.clear();
  }
  return frame;
}

void AddOnCpu(const Frame& frame, std::vector<int64_t>* sums) {
  const FixedPointPasses& passes = FixedPointPassesFor(BestIsa());
  std::vector<float> floats = frame.floats;
  if (frame.encoding == GradientEncoding::kI64) {
    passes.add_i64(frame.integers.data(), sums->size(), sums->data());
    return;
  }
  if (frame.encoding == GradientEncoding::kBf16) {
    floats.resize(sums->size());
    WidenBf16(frame.halves.data(), sums->size(), floats.data());
  }
  passes.add_f32(floats.data(), sums->size(), FixedPointScale(kFractionBits), sums->data());
}

// Sums in the memory of GPU 0.
class GpuSums {
 public:
  explicit GpuSums(size_t size)
      : size_(size),
        stream_(GpuStream::Open(0).value()),
        sums_(DeviceBuffer<int64_t>::Make(0, size).value()),
        bad_(DeviceBuffer<uint32_t>::Make(0, kAccumulateInputsMax).value()) {
    const std::vector<int64_t> before(size, kBefore);
    EXPECT_TRUE(CopyToDevice<int64_t>(stream_, before, sums_.data()).ok());
    EXPECT_TRUE(stream_.Wait().ok());
  }

  // Returns `bad`.
  std::vector<uint32_t> Accumulate(const std::vector<const Frame*>& frames, bool store) {
    std::vector<DeviceBuffer<std::byte>> copies;
    std::vector<AccumulateInput> inputs;
    for (const Frame* frame : frames) {
      copies.push_back(DeviceBuffer<std::byte>::Make(0, frame->bytes()).value());
      EXPECT_TRUE(
          CopyBytesToDevice(stream_, copies.back().data(), frame->data(), frame->bytes()).ok());
      inputs.push_back({copies.back().data(), frame->encoding, LeafLimit(kSamples),
                        FixedPointLimit(kSamples, kFractionBits)});
    }
    EXPECT_TRUE(AccumulateOnGpu(inputs, static_cast<uint32_t>(size_), store,
                                FixedPointScale(kFractionBits), sums_.data(), bad_.data(), stream_)
                    .ok());
    std::vector<uint32_t> bad(frames.size());
    EXPECT_TRUE(CopyToHost<uint32_t>(stream_, bad_.data(), bad).ok());
    EXPECT_TRUE(stream_.Wait().ok());
    return bad;
  }

  std::vector<int64_t> Read() const {
    std::vector<int64_t> sums(size_);
    EXPECT_TRUE(CopyToHost<int64_t>(stream_, sums_.data(), sums).ok());
    EXPECT_TRUE(stream_.Wait().ok());
    return sums;
  }

 private:
  const size_t size_;
  const GpuStream stream_;
  DeviceBuffer<int64_t> sums_;
  DeviceBuffer<uint32_t> bad_;
};

std::vector<Frame> MixedFrames(size_t count, size_t size) {
  std::vector<Frame> frames;
  for (size_t i = 0; i < count; ++i) {
    frames.push_back(FrameOf(static_cast<GradientEncoding>(i % 3), size, i));
  }
  return frames;
}

std::vector<const Frame*> Pointers(const std::vector<Frame>& frames) {
  std::vector<const Frame*> pointers;
  for (const Frame& frame : frames) pointers.push_back(&frame);
  return pointers;
}

TEST(AccumulateGpuTest, SumsOfEveryEncodingHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  for (const size_t size : {1, 3, 15, 1023, 4096, 4097, 9001}) {
    for (const size_t count : {1, 2, 3, 8}) {
      for (const bool store : {true, false}) {
        const std::vector<Frame> frames = MixedFrames(count, size);
        std::vector<int64_t> expected(size, store ? 0 : kBefore);
        for (const Frame& frame : frames) AddOnCpu(frame, &expected);
        GpuSums sums(size);

        const std::vector<uint32_t> bad = sums.Accumulate(Pointers(frames), store);

        EXPECT_EQ(bad, std::vector<uint32_t>(count, kNoBadElement));
        ASSERT_EQ(sums.Read(), expected) << size << " elements, " << count << " inputs";
      }
    }
  }
}

TEST(AccumulateGpuTest, OrderAndGroupingDoNotChangeABit) {
  DROVER_REQUIRE_GPU();
  const size_t size = 5001;
  const std::vector<Frame> frames = MixedFrames(6, size);
  std::vector<const Frame*> order = Pointers(frames);
  GpuSums together(size);
  together.Accumulate(order, /*store=*/true);

  for (int shuffle = 0; shuffle < 5; ++shuffle) {
    std::next_permutation(order.begin(), order.end());
    std::rotate(order.begin(), order.begin() + shuffle, order.end());
    for (const size_t at_once : {1, 2, 4, 5}) {
      GpuSums apart(size);
      for (size_t begin = 0; begin < order.size(); begin += at_once) {
        const size_t end = std::min(begin + at_once, order.size());
        apart.Accumulate({order.begin() + static_cast<std::ptrdiff_t>(begin),
                          order.begin() + static_cast<std::ptrdiff_t>(end)},
                         /*store=*/begin == 0);
      }
      ASSERT_EQ(apart.Read(), together.Read());
    }
  }
}

TEST(AccumulateGpuTest, ABadInputIsFoundAndChangesNothing) {
  DROVER_REQUIRE_GPU();
  const size_t size = 4500;
  const float limit = LeafLimit(kSamples);
  for (const float value : {kNan, -kNan, kInfinity, -kInfinity, limit, -limit}) {
    for (const size_t at : {size_t{0}, size_t{1}, size_t{2047}, size - 1}) {
      std::vector<Frame> frames = MixedFrames(3, size);
      frames[0].floats[at] = value;
      frames[0].floats[size - 1] = kNan;  // The smallest index counts.
      GpuSums sums(size);
      std::vector<int64_t> expected(size, kBefore);
      AddOnCpu(frames[1], &expected);
      AddOnCpu(frames[2], &expected);

      const std::vector<uint32_t> bad = sums.Accumulate(Pointers(frames), /*store=*/false);

      ASSERT_EQ(bad,
                (std::vector<uint32_t>{static_cast<uint32_t>(at), kNoBadElement, kNoBadElement}))
          << value;
      ASSERT_EQ(sums.Read(), expected) << value;
    }
  }
}

TEST(AccumulateGpuTest, SoIsOneOfTheOtherEncodings) {
  DROVER_REQUIRE_GPU();
  const size_t size = 300;
  const int64_t limit = FixedPointLimit(kSamples, kFractionBits);
  const int64_t lowest = std::numeric_limits<int64_t>::min();
  for (const int64_t value : {limit, -limit, limit + 1, lowest, lowest + 1}) {
    std::vector<Frame> frames = MixedFrames(3, size);
    frames[1].halves[17] = ToBf16(kNan);
    frames[2].integers[256] = value;
    GpuSums sums(size);
    std::vector<int64_t> expected(size, 0);
    AddOnCpu(frames[0], &expected);

    const std::vector<uint32_t> bad = sums.Accumulate(Pointers(frames), /*store=*/true);

    EXPECT_EQ(bad, (std::vector<uint32_t>{kNoBadElement, 17, 256})) << value;
    EXPECT_EQ(sums.Read(), expected) << value;
  }
}

TEST(AccumulateGpuTest, ValuesJustBelowTheLimitsAreGood) {
  DROVER_REQUIRE_GPU();
  std::vector<Frame> frames = MixedFrames(3, 4);
  frames[0].floats[0] = std::nextafter(LeafLimit(kSamples), 0.0f);
  frames[2].integers[1] = FixedPointLimit(kSamples, kFractionBits) - 1;
  frames[2].integers[2] = 1 - FixedPointLimit(kSamples, kFractionBits);
  GpuSums sums(4);
  std::vector<int64_t> expected(4, 0);
  for (const Frame& frame : frames) AddOnCpu(frame, &expected);

  EXPECT_EQ(sums.Accumulate(Pointers(frames), /*store=*/true),
            std::vector<uint32_t>(3, kNoBadElement));
  EXPECT_EQ(sums.Read(), expected);
}

TEST(AccumulateGpuTest, StoringBadInputsAloneKeepsWhatWasThere) {
  DROVER_REQUIRE_GPU();
  std::vector<Frame> frames = MixedFrames(1, 100);
  frames[0].floats[99] = kInfinity;
  GpuSums sums(100);

  EXPECT_EQ(sums.Accumulate(Pointers(frames), /*store=*/true), (std::vector<uint32_t>{99}));
  EXPECT_EQ(sums.Read(), std::vector<int64_t>(100, kBefore));
}

TEST(AccumulateGpuTest, MoreInputsThanFitAreRefused) {
  DROVER_REQUIRE_GPU();
  const GpuStream stream = GpuStream::Open(0).value();
  const std::vector<AccumulateInput> inputs(kAccumulateInputsMax + 1);

  const Status none = AccumulateOnGpu({}, 1, true, 1.0, nullptr, nullptr, stream);
  const Status many = AccumulateOnGpu(inputs, 1, true, 1.0, nullptr, nullptr, stream);

  EXPECT_EQ(none.code(), Code::kInvalidArgument);
  EXPECT_EQ(many.code(), Code::kInvalidArgument);
  EXPECT_NE(many.message().find("9 inputs at once, expected 1 to 8"), std::string::npos)
      << many.message();
}

TEST(AccumulateGpuTest, MeansAndTheirSquaresHaveTheBitsOfTheCpu) {
  DROVER_REQUIRE_GPU();
  const std::vector<int64_t> sizes = {1, 4097, 15, 512, 66000};
  std::vector<TensorSpec> tensors;
  for (const int64_t size : sizes) {
    tensors.push_back({"t" + std::to_string(tensors.size()), {size}, {}});
  }
  const Layout layout = Layout::Make(tensors).value();
  const std::vector<uint32_t> groups(sizes.size(), 0);
  const UpdatePlan plan = MakeUpdatePlan(layout, layout.all_blocks(), groups);
  const double factor = FixedPointMeanFactor(kFractionBits, 3000);
  std::vector<int64_t> sums(plan.elements);
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto words = Philox(/*seed=*/9, /*stream=*/0, i);
    std::memcpy(&sums[i], words.data(), sizeof(int64_t));
    sums[i] >>= 8 + words[2] % 40;
  }
  const GpuStream stream = GpuStream::Open(0).value();
  const UpdatePlanOnGpu tables = UpdatePlanOnGpu::Copy(plan, stream).value();
  const auto sums_on_gpu = DeviceBuffer<int64_t>::Make(0, plan.elements).value();
  const auto mean_on_gpu = DeviceBuffer<float>::Make(0, plan.elements).value();
  const auto strips = DeviceBuffer<double>::Make(0, plan.strips.size()).value();
  const auto blocks = DeviceBuffer<double>::Make(0, layout.block_count()).value();
  std::vector<float> mean(plan.elements);
  std::vector<double> squares(layout.block_count());

  ASSERT_TRUE(CopyToDevice<int64_t>(stream, sums, sums_on_gpu.data()).ok());
  ASSERT_TRUE(ZeroBytes(stream, mean_on_gpu.data(), mean_on_gpu.bytes()).ok());
  ASSERT_TRUE(ConvertOnGpu(tables.tables(), sums_on_gpu.data(), factor, mean_on_gpu.data(),
                           strips.data(), blocks.data(), stream)
                  .ok());
  ASSERT_TRUE(CopyToHost<float>(stream, mean_on_gpu.data(), mean).ok());
  ASSERT_TRUE(CopyToHost<double>(stream, blocks.data(), squares).ok());
  ASSERT_TRUE(stream.Wait().ok());

  for (uint32_t b = 0; b < layout.block_count(); ++b) {
    const Block& block = layout.blocks()[b];
    std::vector<float> expected(block.size);
    const double expected_squares = FixedPointPassesFor(BestIsa()).mean(
        sums.data() + block.offset, block.size, factor, expected.data());
    EXPECT_EQ(squares[b], expected_squares) << "block " << b;
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(),
                           mean.begin() + static_cast<std::ptrdiff_t>(block.offset)))
        << "block " << b;
  }
  for (uint64_t i = 1; i < layout.tensor_offset(1); ++i) EXPECT_EQ(mean[i], 0.0f) << "a gap";
}

}  // namespace
}  // namespace drover
