#include "server/shard/payload_sum.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "common/base/crc32c.h"

namespace drover {
namespace {

// Read three times (checksum, range, sum) while in the second-level cache, beside twice its size of
// sums.
constexpr size_t kPieceBytes = 64 << 10;

// A run of whole elements within the payload: where they are, the index of the first, how many.
struct Run {
  const std::byte* data;
  size_t first;
  size_t count;
};

// Calls fn(Run) for all elements in order until it returns false. An element that is cut by slice
// boundaries comes alone, from a copy.
template <typename Fn>
void ForEachRun(std::span<const ByteSpan> payload, size_t element_bytes, const Fn& fn) {
  std::byte cut[sizeof(int64_t)];
  size_t cut_bytes = 0;
  size_t element = 0;
  for (ByteSpan span : payload) {
    if (cut_bytes > 0) {
      const size_t part = std::min(element_bytes - cut_bytes, span.size());
      std::memcpy(cut + cut_bytes, span.data(), part);
      cut_bytes += part;
      span = span.subspan(part);
      if (cut_bytes < element_bytes) continue;
      if (!fn(Run{cut, element, 1})) return;
      ++element;
      cut_bytes = 0;
    }
    while (span.size() >= element_bytes) {
      const size_t count = std::min(span.size(), kPieceBytes) / element_bytes;
      if (!fn(Run{span.data(), element, count})) return;
      element += count;
      span = span.subspan(count * element_bytes);
    }
    if (!span.empty()) std::memcpy(cut, span.data(), span.size());
    cut_bytes = span.size();
  }
}

// The two encodings behind one set of calls.
struct Encoded {
  const FixedPointPasses& passes;
  const PayloadRules& rules;
  bool is_float;

  size_t element_bytes() const { return is_float ? sizeof(float) : sizeof(int64_t); }

  int64_t FindBad(const Run& run) const {
    return is_float ? passes.find_bad_f32(run.data, run.count, rules.limit_f32)
                    : passes.find_bad_i64(run.data, run.count, rules.limit_i64);
  }
  void Sum(const Run& run, int64_t* sums) const {
    if (is_float) {
      const auto pass = rules.store ? passes.store_f32 : passes.add_f32;
      pass(run.data, run.count, rules.scale, sums + run.first);
    } else if (rules.store) {
      std::memcpy(sums + run.first, run.data, run.count * sizeof(int64_t));
    } else {
      passes.add_i64(run.data, run.count, sums + run.first);
    }
  }
  void Subtract(const Run& run, int64_t* sums) const {
    if (is_float) {
      passes.subtract_f32(run.data, run.count, rules.scale, sums + run.first);
    } else {
      passes.subtract_i64(run.data, run.count, sums + run.first);
    }
  }
  Verdict ReasonFor(const Run& run, int64_t bad) const {
    if (!is_float) return Verdict::kRange;
    float value;
    std::memcpy(&value, run.data + static_cast<size_t>(bad) * sizeof(value), sizeof(value));
    return std::isfinite(value) ? Verdict::kRange : Verdict::kNonfinite;
  }
};

}  // namespace

PayloadOutcome SumPayload(const FixedPointPasses& passes, const ReceivedFrame& frame,
                          const PayloadRules& rules, std::span<int64_t> sums) {
  const Encoded encoded{passes, rules, frame.header().encoding == FrameEncoding::kF32};
  const size_t element_bytes = encoded.element_bytes();
  DROVER_CHECK(frame.header().payload_bytes == sums.size() * element_bytes);

  PayloadOutcome outcome;
  uint32_t crc = 0;
  size_t summed = 0;
  ForEachRun(frame.payload(), element_bytes, [&](const Run& run) {
    crc = Crc32c(run.data, run.count * element_bytes, crc);
    const int64_t bad = encoded.FindBad(run);
    if (bad >= 0) {
      outcome = {encoded.ReasonFor(run, bad), run.first + static_cast<uint64_t>(bad)};
      return false;
    }
    encoded.Sum(run, sums.data());
    summed = run.first + run.count;
    return true;
  });
  // A flipped bit may look like a bad number: then it is the network's fault, not the worker's.
  const bool damaged = outcome.refusal == Verdict::kNone ? crc != frame.header().payload_crc
                                                         : !frame.PayloadCrcMatches();
  if (damaged) outcome = {Verdict::kChecksum, 0};
  if (outcome.refusal == Verdict::kNone || rules.store) return outcome;

  ForEachRun(frame.payload(), element_bytes, [&](const Run& run) {
    if (run.first >= summed) return false;
    encoded.Subtract(run, sums.data());
    return true;
  });
  return outcome;
}

}  // namespace drover
