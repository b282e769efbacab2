// What a model on a GPU says when memory is short; only the emulator can make it so.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/support/cuda_emulator/emulator.h"
#include "worker/nn/gpu_model.h"
#include "worker/nn/products_plain.h"

namespace drover {
namespace {

TEST(GpuModelMemoryTest, SaysWhatItNeedsWhenThereIsNotEnough) {
  NetworkSpec network;
  network.input = {6};
  network.layers = {{.name = "only", .kind = DenseSpec{.size = 3}}};
  network.head.kind = SoftmaxCrossEntropySpec{.classes = 3};
  emulator::FailNextAllocation();

  const Status status =
      MakeGpuLeafModel(0, std::make_unique<PlainProducts>(), network, {.micro_batch = 4}).status();

  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), testing::HasSubstr("with micro_batch=4; micro_batch=4 would fit"));
}

}  // namespace
}  // namespace drover
