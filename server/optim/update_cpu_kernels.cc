// Pairs with update.h. CMake compiles this file once per instruction set (drover_multi_isa) with
// DROVER_ISA set to generic, avx2 or avx512. Each object exports the one symbol Passes; include
// nothing here but plain headers.

#include <immintrin.h>

#include <array>
#include <cstdint>
#include <utility>

#include "common/tensor/square_sum.h"
#include "server/optim/direction.h"
#include "server/optim/update.h"

#ifndef DROVER_ISA
#define DROVER_ISA generic
#endif

namespace drover::DROVER_ISA {
namespace {

// Weights of Measure's inner loop: one cache line of each array.
constexpr size_t kWidth = 16;

// Weights of one tile of Apply: stays in the first-level cache until it is streamed out.
constexpr size_t kTile = 512;

// Measure is bound by the latency of four streams of reads, which it takes out of order; asking for
// lines in order and two segments ahead makes it a quarter faster (32 to 40 GB/s on one core).
// Apply gains nothing from it.
constexpr size_t kPrefetchAhead = 2 * kSegmentElements;

template <int kSlots>
Element Load(const StepScalars& s, const BlockView& b, size_t i) {
  Element e{b.weight[i], b.gradient[i] * s.clip, 0.0f, 0.0f, 0.0f};
  if constexpr (kSlots > 0) e.slot0 = b.slot[0][i];
  if constexpr (kSlots > 1) e.slot1 = b.slot[1][i];
  if constexpr (kSlots > 2) e.slot2 = b.slot[2][i];
  return e;
}

// Reading ahead of an array's end is harmless: a prefetch never faults.
template <int kSlots>
void Prefetch(const BlockView& b, size_t i) {
  __builtin_prefetch(b.weight + i);
  __builtin_prefetch(b.gradient + i);
  for (int slot = 0; slot < kSlots; ++slot) __builtin_prefetch(b.slot[slot] + i);
}

// Sums of squares of one whole segment, in vector registers: lane after lane, each its four
// weights.
template <Rule kRule, int kSlots>
BlockNorms MeasureSegment(const StepScalars& s, const BlockView& b, size_t begin) {
  alignas(64) double weight_lanes[kSquareLanes];
  alignas(64) double direction_lanes[kSquareLanes];
  size_t ahead = begin + kPrefetchAhead;
  for (size_t group = 0; group < kSquareLanes; group += kWidth) {
    double weights[kWidth] = {};
    double directions[kWidth] = {};
    for (size_t row = 0; row < kSegmentElements; row += kSquareLanes) {
      const size_t first = begin + row + group;
      Prefetch<kSlots>(b, ahead);
      ahead += kWidth;
      for (size_t lane = 0; lane < kWidth; ++lane) {
        Element e = Load<kSlots>(s, b, first + lane);
        const double u = MeasuredDirection<kRule>(s, e);
        const double w = e.w;
        weights[lane] += w * w;
        directions[lane] += u * u;
      }
    }
    for (size_t lane = 0; lane < kWidth; ++lane) {
      weight_lanes[group + lane] = weights[lane];
      direction_lanes[group + lane] = directions[lane];
    }
  }
  return {FoldSquareLanes(weight_lanes), FoldSquareLanes(direction_lanes)};
}

// Of the end of a block.
template <Rule kRule, int kSlots>
BlockNorms MeasurePart(const StepScalars& s, const BlockView& b, size_t begin, size_t count) {
  alignas(64) double weight_lanes[kSquareLanes] = {};
  alignas(64) double direction_lanes[kSquareLanes] = {};
  for (size_t i = 0; i < count; ++i) {
    Element e = Load<kSlots>(s, b, begin + i);
    const double u = MeasuredDirection<kRule>(s, e);
    const double w = e.w;
    weight_lanes[i % kSquareLanes] += w * w;
    direction_lanes[i % kSquareLanes] += u * u;
  }
  return {FoldSquareLanes(weight_lanes), FoldSquareLanes(direction_lanes)};
}

template <Rule kRule>
BlockNorms Measure(const StepScalars& scalars, const BlockView& block) {
  constexpr int kSlots = InfoOf(kRule).ratio_on_gradient ? 0 : InfoOf(kRule).slots;
  const StepScalars s = scalars;  // Copies, so that they stay in registers.
  const BlockView b = block;
  BlockNorms norms{0.0, 0.0};
  for (size_t strip = 0; strip < b.size; strip += kStripElements) {
    const size_t end = b.size - strip < kStripElements ? b.size : strip + kStripElements;
    BlockNorms strip_norms{0.0, 0.0};
    for (size_t begin = strip; begin < end; begin += kSegmentElements) {
      const size_t left = end - begin;
      const BlockNorms part = left < kSegmentElements
                                  ? MeasurePart<kRule, kSlots>(s, b, begin, left)
                                  : MeasureSegment<kRule, kSlots>(s, b, begin);
      strip_norms.weight += part.weight;
      strip_norms.direction += part.direction;
    }
    norms.weight += strip_norms.weight;
    norms.direction += strip_norms.direction;
  }
  return norms;
}

// next_weight is written and not read, so it goes around the caches: a normal store would read each
// line first, which is one byte in eight of AdamW's. `to` is 16-byte aligned, `count` a multiple of
// 4.
void StreamOut(const float* from, size_t count, float* to) {
  for (size_t i = 0; i < count; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
}

template <Rule kRule>
void ApplyTile(const StepScalars& s, const BlockView& b, float factor, size_t begin, size_t count,
               float* next) {
  constexpr int kSlots = InfoOf(kRule).slots;
#pragma GCC ivdep  // The arrays do not overlap, see BlockView.
  for (size_t k = 0; k < count; ++k) {
    const size_t i = begin + k;
    Element e = Load<kSlots>(s, b, i);
    const float u = Direction<kRule>(s, e);
    if constexpr (kSlots > 0) b.slot[0][i] = e.slot0;
    if constexpr (kSlots > 1) b.slot[1][i] = e.slot1;
    if constexpr (kSlots > 2) b.slot[2][i] = e.slot2;
    next[k] = e.w - factor * u;
  }
}

template <Rule kRule>
void Apply(const StepScalars& scalars, const BlockView& block, float scale) {
  const StepScalars s = ScalarsWithScale<kRule>(scalars, scale);
  const float factor = StepFactor<kRule>(scale);
  const BlockView b = block;
  const bool can_stream = reinterpret_cast<uintptr_t>(b.next_weight) % 64 == 0;
  alignas(64) float tile[kTile];
  size_t begin = 0;
  for (; can_stream && begin + kTile <= b.size; begin += kTile) {
    ApplyTile<kRule>(s, b, factor, begin, kTile, tile);
    StreamOut(tile, kTile, b.next_weight + begin);
  }
  ApplyTile<kRule>(s, b, factor, begin, b.size - begin, b.next_weight + begin);
  _mm_sfence();  // Streamed stores are seen by other threads in order from here on.
}

template <size_t... kIndex>
CpuPasses PassesAt(size_t index, std::index_sequence<kIndex...>) {
  static constexpr std::array<CpuPasses, sizeof...(kIndex)> kPasses = {
      CpuPasses{&Measure<kRules[kIndex].rule>, &Apply<kRules[kIndex].rule>}...};
  return kPasses[index];
}

}  // namespace

CpuPasses Passes(Rule rule) {
  return PassesAt(static_cast<size_t>(rule), std::make_index_sequence<kRules.size()>());
}

}  // namespace drover::DROVER_ISA
