// What one thread block of 256 does with one strip: the device half of update_cpu_kernels.cc, with
// the same formulas in the same order. A thread holds four neighbouring elements of each of four
// rows, so every full access is one of 16 bytes, and its lanes are those of square_sum.h.

#ifndef DROVER_SERVER_OPTIM_UPDATE_STRIP_CUH_
#define DROVER_SERVER_OPTIM_UPDATE_STRIP_CUH_

#include <stdint.h>

#include "common/gpu/access.cuh"
#include "common/gpu/kernel.h"
#include "common/tensor/bf16.h"
#include "server/optim/direction.h"
#include "server/optim/square_fold.cuh"
#include "server/optim/update.h"
#include "server/optim/update_tables.h"

namespace drover {

// Rows whose reads are under way at once: enough bytes for the latency of the memory.
inline constexpr unsigned kRowsAtOnce = 2;
static_assert(kStripRows % kRowsAtOnce == 0);

// Which arrays of a strip a pass reads.
enum class Reads { kGradientAndSlots, kGradient, kSlots };

// Four weights with their state.
struct Quad {
  Element e[4];
  uint64_t at;  // Of the first one in the arrays.
  int left;     // Elements of the strip from there on: below 4 at its end, below 1 beyond it.
};

template <int kSlots, Reads kReads, bool kSums>
__device__ __forceinline__ void ReadQuad(const UpdateArrays& a, const UpdateStrip& strip,
                                         unsigned row, const StepScalars& s, double mean_factor,
                                         Quad& quad) {
  const unsigned first = StripElement(row);
  quad.at = strip.offset + first;
  quad.left = static_cast<int>(strip.size) - static_cast<int>(first);
  float w[4] = {}, g[4] = {}, slot[3][4] = {};
  ReadFour(a.weight + quad.at, quad.left, w);
  if constexpr (kReads != Reads::kSlots) {
    if constexpr (kSums) {
      int64_t q[4] = {};
      ReadFourStreaming(a.sums + quad.at, quad.left, q);
      DROVER_UNROLL
      for (int k = 0; k < 4; ++k) {
        g[k] = static_cast<float>(static_cast<double>(q[k]) * mean_factor);
      }
    } else {
      ReadFourStreaming(a.gradient + quad.at, quad.left, g);
    }
  }
  if constexpr (kReads != Reads::kGradient) {
    DROVER_UNROLL
    for (int i = 0; i < kSlots; ++i) ReadFour(a.slot[i] + quad.at, quad.left, slot[i]);
  }
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) {
    quad.e[k] = Element{w[k], g[k] * s.clip, slot[0][k], slot[1][k], slot[2][k]};
  }
}

template <int kSlots>
__device__ __forceinline__ void WriteSlots(const UpdateArrays& a, const Quad& quad) {
  float slot[3][4];
  DROVER_UNROLL
  for (int k = 0; k < 4; ++k) {
    slot[0][k] = quad.e[k].slot0;
    slot[1][k] = quad.e[k].slot1;
    slot[2][k] = quad.e[k].slot2;
  }
  DROVER_UNROLL
  for (int i = 0; i < kSlots; ++i) WriteFour(a.slot[i] + quad.at, quad.left, slot[i]);
}

// Sums of squares of a strip; the result is thread 0's. With kAdvance, the slots move on.
template <Rule kRule, bool kSums, bool kAdvance, typename Array>
__device__ __forceinline__ BlockNorms MeasureStrip(const UpdateArrays& a, const UpdateStrip& strip,
                                                   const StepScalars& s, double mean_factor,
                                                   Array& scratch) {
  constexpr bool kOnGradient = InfoOf(kRule).ratio_on_gradient;
  constexpr int kSlots = kOnGradient ? 0 : InfoOf(kRule).slots;
  constexpr Reads kReads = kOnGradient ? Reads::kGradient : Reads::kGradientAndSlots;
  double lanes[2][4] = {};  // Of the weights, of the directions.
  for (unsigned row = 0; row < kStripRows; row += kRowsAtOnce) {
    Quad quads[kRowsAtOnce];
    DROVER_UNROLL
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      ReadQuad<kSlots, kReads, kSums>(a, strip, row + i, s, mean_factor, quads[i]);
    }
    DROVER_UNROLL
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      DROVER_UNROLL
      for (int k = 0; k < 4; ++k) {
        const double u = MeasuredDirection<kRule>(s, quads[i].e[k]);
        const double w = quads[i].e[k].w;
        if (k < quads[i].left) {
          lanes[0][k] += w * w;
          lanes[1][k] += u * u;
        }
      }
      if constexpr (kAdvance) WriteSlots<kSlots>(a, quads[i]);
    }
  }
  double sums[2];
  FoldStrip<2>(lanes, scratch, sums);
  return {sums[0], sums[1]};
}

// Next weights of four elements: Lookahead, the weights themselves and their bfloat16 copy.
// `before`: the weights as they were.
__device__ __forceinline__ void WriteWeights(const UpdateArrays& a, const Quad& quad,
                                             const LookaheadStep& lookahead,
                                             const float (&before)[4], float (&next)[4]) {
  if (a.slow != nullptr && (lookahead.begin || lookahead.sync)) {
    float slow[4] = {};
    if (!lookahead.begin) ReadFour(a.slow + quad.at, quad.left, slow);
    DROVER_UNROLL
    for (int k = 0; k < 4; ++k) {
      if (lookahead.begin) slow[k] = before[k];
      if (!lookahead.sync) continue;
      if (lookahead.ahead == 0.0f) {
        SyncLookahead(lookahead, next[k], slow[k]);
      } else {
        SyncLookaheadAhead(lookahead, quad.e[k].slot0, next[k], slow[k]);
      }
    }
    WriteFourStreaming(a.slow + quad.at, quad.left, slow);
  }
  WriteFourStreaming(a.next_weight + quad.at, quad.left, next);
  if (a.published != nullptr) {
    uint16_t rounded[4];
    DROVER_UNROLL
    for (int k = 0; k < 4; ++k) rounded[k] = ToBf16(next[k]);
    WriteFourStreaming(a.published + quad.at, quad.left, rounded);
  }
}

// kAdvanced: the slots moved on in the first pass (LAMB), u comes from them.
template <Rule kRule, bool kSums, bool kAdvanced>
__device__ __forceinline__ void ApplyStrip(const UpdateArrays& a, const UpdateStrip& strip,
                                           const StepScalars& scalars, const UpdateStep& step,
                                           float scale) {
  constexpr int kSlots = InfoOf(kRule).slots;
  constexpr Reads kReads = kAdvanced ? Reads::kSlots : Reads::kGradientAndSlots;
  const StepScalars s = ScalarsWithScale<kRule>(scalars, scale);
  const float factor = StepFactor<kRule>(scale);
  for (unsigned row = 0; row < kStripRows; row += kRowsAtOnce) {
    Quad quads[kRowsAtOnce];
    DROVER_UNROLL
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      ReadQuad<kSlots, kReads, kSums>(a, strip, row + i, s, step.mean_factor, quads[i]);
    }
    DROVER_UNROLL
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      float before[4], next[4];
      DROVER_UNROLL
      for (int k = 0; k < 4; ++k) {
        Element& e = quads[i].e[k];
        before[k] = e.w;
        const float u = kAdvanced ? LambDirectionAfter(s, e) : Direction<kRule>(s, e);
        next[k] = e.w - factor * u;
      }
      if constexpr (!kAdvanced) WriteSlots<kSlots>(a, quads[i]);
      WriteWeights(a, quads[i], step.lookahead, before, next);
    }
  }
}

}  // namespace drover

#endif  // DROVER_SERVER_OPTIM_UPDATE_STRIP_CUH_
