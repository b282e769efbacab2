#include "server/shard/range_threads.h"

#include <algorithm>
#include <string>

#include "common/base/thread.h"

namespace drover {
namespace {

// Below this a second thread costs more to start than it saves.
constexpr uint64_t kElementsPerThreadMin = uint64_t{1} << 19;

}  // namespace

RangeThreads::RangeThreads(const Layout& layout, BlockRange range, int threads) {
  const uint64_t elements = layout.SpanElements(range);
  const uint64_t wanted = std::min(static_cast<uint64_t>(threads),
                                   std::max<uint64_t>(1, elements / kElementsPerThreadMin));
  uint32_t begin = range.begin;
  for (uint64_t part = 1; part <= wanted; ++part) {
    uint32_t end = begin;
    while (end < range.end &&
           (part == wanted || layout.SpanElements({range.begin, end}) < elements * part / wanted)) {
      ++end;
    }
    parts_.push_back({begin, end});
    begin = end;
  }
}

void RangeThreads::ForEachPart(const std::function<void(size_t part)>& body) const {
  std::vector<Thread> helpers;
  for (size_t part = 1; part < parts_.size(); ++part) {
    helpers.emplace_back("optim/" + std::to_string(part), [&body, part] { body(part); });
  }
  body(0);
}

void RangeThreads::ForEachBlock(const std::function<void(uint32_t block)>& body) const {
  ForEachPart([&](size_t part) {
    for (uint32_t block = parts_[part].begin; block < parts_[part].end; ++block) body(block);
  });
}

}  // namespace drover
