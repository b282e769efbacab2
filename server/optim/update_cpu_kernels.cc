// Pairs with update.h. CMake compiles this file once per instruction set (drover_multi_isa) with
// DROVER_ISA set to generic, avx2 or avx512. Each object exports the one symbol Passes; include
// nothing here but plain headers.

#include "server/optim/update.h"

#ifndef DROVER_ISA
#define DROVER_ISA generic
#endif

namespace drover::DROVER_ISA {
namespace {

// Sums run in this many lanes on every machine, so that every build adds in the same order.
constexpr size_t kLanes = 16;

using Direction = float (*)(const StepScalars&, Element&);

template <int kSlots>
Element Load(const StepScalars& s, const BlockView& b, size_t i) {
  Element e{b.weight[i], b.gradient[i] * s.clip, 0.0f, 0.0f, 0.0f};
  if constexpr (kSlots > 0) e.slot0 = b.slot[0][i];
  if constexpr (kSlots > 1) e.slot1 = b.slot[1][i];
  if constexpr (kSlots > 2) e.slot2 = b.slot[2][i];
  return e;
}

template <Direction kDirection, int kSlots>
BlockNorms Measure(const StepScalars& scalars, const BlockView& block) {
  const StepScalars s = scalars;
  const BlockView b = block;
  double weight_sum[kLanes] = {};
  double direction_sum[kLanes] = {};
  const auto add = [&](size_t i, size_t lane) {
    Element e = Load<kSlots>(s, b, i);
    const double u = kDirection(s, e);
    const double w = e.w;
    weight_sum[lane] += w * w;
    direction_sum[lane] += u * u;
  };
  size_t i = 0;
  for (; i + kLanes <= b.size; i += kLanes) {
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

template <Direction kDirection, int kSlots>
void Apply(const StepScalars& scalars, const BlockView& block, float scale) {
  // Copies, so that the compiler need not fear a store to an array changes them.
  const StepScalars s = scalars;
  const BlockView b = block;
#pragma GCC ivdep  // The arrays do not overlap, see BlockView.
  for (size_t i = 0; i < b.size; ++i) {
    Element e = Load<kSlots>(s, b, i);
    const float u = kDirection(s, e);
    if constexpr (kSlots > 0) b.slot[0][i] = e.slot0;
    if constexpr (kSlots > 1) b.slot[1][i] = e.slot1;
    if constexpr (kSlots > 2) b.slot[2][i] = e.slot2;
    b.next_weight[i] = e.w - scale * u;
  }
}

template <Direction kDirection, Rule kRule>
CpuPasses Both() {
  constexpr int kSlots = InfoOf(kRule).slots;
  return {&Measure<kDirection, kSlots>, &Apply<kDirection, kSlots>};
}

}  // namespace

CpuPasses Passes(Rule rule) {
  switch (rule) {
    case Rule::kSgd:
      return Both<SgdDirection<float>, Rule::kSgd>();
    case Rule::kMomentum:
      return Both<MomentumDirection<float>, Rule::kMomentum>();
    case Rule::kAdam:
      return Both<AdamDirection<float>, Rule::kAdam>();
    case Rule::kAdamW:
      return Both<AdamWDirection<float>, Rule::kAdamW>();
    case Rule::kLamb:
      return Both<LambDirection<float>, Rule::kLamb>();
  }
  return {};  // Not reached: the switch is complete.
}

}  // namespace drover::DROVER_ISA
