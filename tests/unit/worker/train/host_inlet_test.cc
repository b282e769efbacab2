// Weights that arrive for several emulated GPUs of one host.

#include "worker/train/host_inlet.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "common/tensor/bf16.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace drover {
namespace {

constexpr size_t kGpus = 3;
constexpr uint64_t kElements = 1000;
constexpr uint64_t kEdges[] = {0, 320, 640, kElements};  // Of the parts, in whole lines.

// Looks at what each GPU has before they exchange it; or cannot.
class WatchedReduce : public HostReduce {
 public:
  explicit WatchedReduce(std::shared_ptr<HostReduce> real) : real_(std::move(real)) {}

  const ReduceSegments& segments() const override { return real_->segments(); }
  uint64_t Begin() override { return real_->Begin(); }
  Status Deposit(uint64_t lease, size_t segment, const GpuStream& stream,
                 const int64_t* sums) override {
    return real_->Deposit(lease, segment, stream, sums);
  }
  Status Finish(uint64_t lease, size_t segment, int64_t* space) override {
    return real_->Finish(lease, segment, space);
  }
  Status Gather(std::span<const Share> shares) override {
    ++gathers;
    before.clear();
    for (const Share& share : shares) {
      std::vector<std::byte> bytes(landing_bytes);
      DROVER_RETURN_IF_ERROR(
          CopyBytesToHost(*share.stream, bytes.data(), share.memory, landing_bytes));
      DROVER_RETURN_IF_ERROR(share.stream->Wait());
      before.push_back(std::move(bytes));
    }
    return broken.ok() ? real_->Gather(shares) : broken;
  }

  int gathers = 0;
  size_t landing_bytes = 0;
  std::vector<std::vector<std::byte>> before;  // [GPUs]
  Status broken;

 private:
  const std::shared_ptr<HostReduce> real_;
};

class HostInletTest : public testing::TestWithParam<bool> {
 protected:
  HostInletTest() {
    emulator::SetDeviceCount(kGpus);
    const Layout layout = Layout::Make({{"a", {kElements}, {}}}).value();
    host_ = std::make_shared<WatchedReduce>(MakeHostReduce({0, 1, 2}, layout).value());
    host_->landing_bytes = GpuWeightsInlet::DeviceBytes(kElements, is_bf16_);
    for (int gpu = 0; gpu < static_cast<int>(kGpus); ++gpu) {
      gpus_.push_back(std::make_shared<GpuWeightsInlet>(gpu));
      EXPECT_TRUE(gpus_.back()->Open(kElements, is_bf16_).ok());
      streams_.push_back(GpuStream::Open(gpu).value());
      values_.push_back(DeviceBuffer<float>::Make(gpu, kElements).value());
      rounded_.push_back(DeviceBuffer<uint16_t>::Make(gpu, kElements).value());
    }
    inlet_ = std::make_unique<HostInlet>(gpus_, host_, kElements);
  }
  ~HostInletTest() override {
    inlet_.reset();
    gpus_.clear();
    host_.reset();
    values_.clear();
    rounded_.clear();
    streams_.clear();
    emulator::SetDeviceCount(1);
  }

  // Of one version, as they arrive. bfloat16 can hold them.
  static float Value(int64_t version, uint64_t element) {
    return static_cast<float>(element % 127 + 1) * static_cast<float>(version % 2 == 0 ? -2 : 1);
  }
  std::vector<std::byte> Bytes(int64_t version, bool is_bf16) const {
    std::vector<std::byte> bytes(GpuWeightsInlet::DeviceBytes(kElements, is_bf16));
    for (uint64_t i = 0; i < kElements; ++i) {
      const float value = Value(version, i);
      const uint16_t rounded = ToBf16(value);
      if (is_bf16) std::memcpy(bytes.data() + i * sizeof(rounded), &rounded, sizeof(rounded));
      if (!is_bf16) std::memcpy(bytes.data() + i * sizeof(value), &value, sizeof(value));
    }
    return bytes;
  }
  // In chunks that cross the edges of parts.
  void Arrive(int64_t version, const std::vector<std::byte>& bytes, bool is_bf16) {
    inlet_->Begin(version);
    for (const ElementRange& chunk : {ElementRange{900, 1000}, {0, 100}, {100, 900}}) {
      inlet_->Arrived(version, {chunk, is_bf16,
                                bytes.data() + GpuWeightsInlet::DeviceBytes(chunk.begin, is_bf16)});
    }
    inlet_->Complete(version);
  }
  // Whether every GPU, or none, is handed the version; if so, that it is right.
  bool EveryGpuHas(int64_t version) {
    int handed = 0;
    for (size_t gpu = 0; gpu < kGpus; ++gpu) {
      const WeightsOnGpu to = {values_[gpu].data(), is_bf16_ ? rounded_[gpu].data() : nullptr};
      if (!gpus_[gpu]->Hand(version, to, streams_[gpu]).value()) continue;
      ++handed;
      std::vector<float> got(kElements);
      EXPECT_TRUE(CopyToHost<float>(streams_[gpu], values_[gpu].data(), got).ok());
      EXPECT_TRUE(streams_[gpu].Wait().ok());
      for (uint64_t i = 0; i < kElements; ++i) {
        if (got[i] == Value(version, i)) continue;
        ADD_FAILURE() << "GPU " << gpu << ", element " << i << ": " << got[i];
        break;
      }
    }
    EXPECT_TRUE(handed == 0 || handed == static_cast<int>(kGpus)) << handed;
    return handed > 0;
  }

  const bool is_bf16_ = GetParam();
  std::shared_ptr<WatchedReduce> host_;
  std::vector<std::shared_ptr<GpuWeightsInlet>> gpus_;
  std::vector<GpuStream> streams_;
  std::vector<DeviceBuffer<float>> values_;
  std::vector<DeviceBuffer<uint16_t>> rounded_;
  std::unique_ptr<HostInlet> inlet_;
};

TEST_P(HostInletTest, EachGpuUploadsItsPartAndGetsTheRestFromTheOthers) {
  const std::vector<std::byte> nothing(GpuWeightsInlet::DeviceBytes(kElements, is_bf16_));
  const std::vector<std::byte> one = Bytes(1, is_bf16_);
  Arrive(1, one, is_bf16_);

  EXPECT_EQ(host_->gathers, 1);
  for (size_t gpu = 0; gpu < kGpus; ++gpu) {
    std::vector<std::byte> expected = nothing;
    const auto begin = static_cast<ptrdiff_t>(GpuWeightsInlet::DeviceBytes(kEdges[gpu], is_bf16_));
    const auto end =
        static_cast<ptrdiff_t>(GpuWeightsInlet::DeviceBytes(kEdges[gpu + 1], is_bf16_));
    std::copy(one.begin() + begin, one.begin() + end, expected.begin() + begin);
    EXPECT_TRUE(host_->before[gpu] == expected) << "GPU " << gpu;
  }
  EXPECT_TRUE(EveryGpuHas(1));
}

// Landing places are written again while kernels of the version before may still read them.
TEST_P(HostInletTest, VersionsFollowEachOther) {
  const std::vector<std::byte> versions[] = {Bytes(1, is_bf16_), Bytes(2, is_bf16_)};
  emulator::ForEachSeed(10, [&](uint64_t seed) {
    SCOPED_TRACE(seed);
    for (int64_t version = 1; version <= 4; ++version) {
      const int64_t number = static_cast<int64_t>(seed) * 10 + version;
      Arrive(number, versions[number % 2 == 0 ? 1 : 0], is_bf16_);
      if (version == 2) continue;  // Nobody computes with that one.
      EXPECT_TRUE(EveryGpuHas(number));
    }
  });
  EXPECT_EQ(emulator::TakeErrors(), std::vector<std::string>());
}

TEST_P(HostInletTest, WhenTheGpusCannotExchangeEachUploadsEverything) {
  const std::vector<std::byte> one = Bytes(1, is_bf16_);
  const std::vector<std::byte> two = Bytes(2, is_bf16_);
  host_->broken = Status(Code::kInternal, "rank 1 fell off the bus");
  Arrive(1, one, is_bf16_);
  EXPECT_FALSE(EveryGpuHas(1));  // Lanes take it from the host's memory.

  Arrive(2, two, is_bf16_);

  EXPECT_TRUE(EveryGpuHas(2));
  EXPECT_EQ(host_->gathers, 1);
}

TEST_P(HostInletTest, WhatComesAsTheOtherKindIsNotExchanged) {
  const std::vector<std::byte> other = Bytes(1, !is_bf16_);
  Arrive(1, other, !is_bf16_);

  EXPECT_FALSE(EveryGpuHas(1));
  EXPECT_EQ(host_->gathers, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostInletTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "Bf16" : "F32"; });

}  // namespace
}  // namespace drover
