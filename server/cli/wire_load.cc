#include "server/cli/wire_load.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/philox.h"

namespace drover {

WireLoad::WireLoad(int64_t bytes)
    : gradient_(static_cast<size_t>(bytes) / sizeof(float)),
      weights_(static_cast<size_t>(bytes) / sizeof(float)) {
  const auto elements = static_cast<int64_t>(gradient_.size());
  Result<Layout> layout = Layout::Make({{"tensor", {elements}, {}}});
  DROVER_CHECK(layout.ok());
  layout_ = std::make_shared<const Layout>(std::move(layout).value());
  for (uint64_t i = 0; i < gradient_.size(); ++i) {
    const std::array<uint32_t, 4> words = Philox(/*seed=*/1, /*stream=*/0, i);
    gradient_.data()[i] = UnitFloat(words[0]) - 0.5f;
    weights_.data()[i] = UnitFloat(words[1]) - 0.5f;
  }
  for (const BlockRange blocks : layout_->Chunks(layout_->all_blocks())) {
    chunks_.push_back({blocks, layout_->SpanOffset(blocks), layout_->SpanElements(blocks)});
    const ByteSpan payload[] = {weights(chunks_.back())};
    weights_crcs_.push_back(PayloadCrc(payload));
  }
}

std::vector<size_t> WireLoad::ChunksOf(int channel, int channels) const {
  std::vector<size_t> mine;
  for (size_t i = static_cast<size_t>(channel); i < chunks_.size();
       i += static_cast<size_t>(channels)) {
    mine.push_back(i);
  }
  return mine;
}

}  // namespace drover
