// The one order in which squares are added up, on every CPU build and on the GPU alike, so that a
// norm has the same bits everywhere. A block of 65,536 elements is cut into strips of 4,096, and a
// strip into segments of 512:
//   within a segment, the float64 square of element i is added to lane i mod 128;
//   the lanes are folded by halving: l[i] += l[i + half], half = 64, 32 ... 1;
//   the segments of a strip are added in their order, then the strips of a block in theirs.
// A segment is what one warp of a GPU sums with four neighbouring lanes per thread, so that it
// reads 512 bytes of float32 at once, and a strip is the work of a thread block of eight warps: so
// many are in flight at a time that a second pass over a tensor can begin while the data of the
// first one is still in the cache. On a CPU a segment is summed in vector registers. Pure.

#ifndef DROVER_COMMON_TENSOR_SQUARE_SUM_H_
#define DROVER_COMMON_TENSOR_SQUARE_SUM_H_

#include <cstddef>

namespace drover {

inline constexpr size_t kSquareLanes = 128;
inline constexpr size_t kSegmentElements = 512;
inline constexpr size_t kStripElements = 4096;
inline constexpr size_t kStripSegments = kStripElements / kSegmentElements;

// The sum of all lanes, which it overwrites. `static inline`, as files that are compiled per
// instruction set use it.
static inline double FoldSquareLanes(double* lanes) {
  for (size_t i = 0; i < 64; ++i) lanes[i] += lanes[i + 64];
  for (size_t i = 0; i < 32; ++i) lanes[i] += lanes[i + 32];
  for (size_t i = 0; i < 16; ++i) lanes[i] += lanes[i + 16];
  for (size_t i = 0; i < 8; ++i) lanes[i] += lanes[i + 8];
  for (size_t i = 0; i < 4; ++i) lanes[i] += lanes[i + 4];
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

// The sum of one block from segment_sum(begin, count) of its segments; `count` is kSegmentElements
// for all but the last one.
template <typename SegmentSum>
static inline double SumSegments(size_t size, const SegmentSum& segment_sum) {
  double sum = 0.0;
  for (size_t strip = 0; strip < size; strip += kStripElements) {
    const size_t end = size - strip < kStripElements ? size : strip + kStripElements;
    double strip_sum = 0.0;
    for (size_t begin = strip; begin < end; begin += kSegmentElements) {
      const size_t left = end - begin;
      strip_sum += segment_sum(begin, left < kSegmentElements ? left : kSegmentElements);
    }
    sum += strip_sum;
  }
  return sum;
}

}  // namespace drover

#endif  // DROVER_COMMON_TENSOR_SQUARE_SUM_H_
