// Pairs with update.h. CMake compiles this file once per instruction set (drover_multi_isa) with
// DROVER_ISA set to generic, avx2 or avx512. Each object exports the one symbol Passes; include
// nothing here but plain headers.

#include <immintrin.h>

#include <array>
#include <cstdint>
#include <utility>

#include "server/optim/direction.h"
#include "server/optim/update.h"

#ifndef DROVER_ISA
#define DROVER_ISA generic
#endif

namespace drover::DROVER_ISA {
namespace {

// Sums run in this many lanes on every machine, so that every build adds in the same order.
constexpr size_t kLanes = 16;

// Weights of one tile of Apply: stays in the first-level cache until it is streamed out.
constexpr size_t kTile = 512;

// Measure is bound by the latency of four streams of reads; asking for lines 2 KiB ahead makes it
// 12 % faster (35 to 40 GB/s on one core of an AMD EPYC 9005). Apply gains nothing from it.
constexpr size_t kPrefetchAhead = 512;

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

template <Rule kRule>
BlockNorms Measure(const StepScalars& scalars, const BlockView& block) {
  constexpr int kSlots = InfoOf(kRule).ratio_on_gradient ? 0 : InfoOf(kRule).slots;
  const StepScalars s = scalars;  // Copies, so that they stay in registers.
  const BlockView b = block;
  double weight_sum[kLanes] = {};
  double direction_sum[kLanes] = {};
  const auto add = [&](size_t i, size_t lane) {
    Element e = Load<kSlots>(s, b, i);
    const double u = MeasuredDirection<kRule>(s, e);
    const double w = e.w;
    weight_sum[lane] += w * w;
    direction_sum[lane] += u * u;
  };
  size_t i = 0;
  for (; i + kLanes <= b.size; i += kLanes) {
    Prefetch<kSlots>(b, i + kPrefetchAhead);
    for (size_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
  }
  for (size_t lane = 0; i + lane < b.size; ++lane) add(i + lane, lane);

  BlockNorms norms{0.0, 0.0};
  for (size_t lane = 0; lane < kLanes; ++lane) {
    norms.weight += weight_sum[lane];
    norms.direction += direction_sum[lane];
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
