// How the digits of synthetic.h are written: several ways for each, as strokes of a pen. Constant;
// any thread.

#ifndef DROVER_WORKER_DATA_DIGIT_STROKES_H_
#define DROVER_WORKER_DATA_DIGIT_STROKES_H_

#include <cstdint>
#include <span>
#include <vector>

namespace drover {

// x to the right and y down, both from 0 to 1 in the digit's own box.
struct PenPoint {
  float x;
  float y;
};

// One movement of the pen: a Catmull-Rom curve through 2 to 12 points; through two a straight line.
using PenStroke = std::vector<PenPoint>;

// One way to write a digit. Strokes that meet in a corner repeat the point.
using Glyph = std::vector<PenStroke>;

// The ways to write `digit`, 0 to 9; at least two.
std::span<const Glyph> GlyphsOf(uint8_t digit);

}  // namespace drover

#endif  // DROVER_WORKER_DATA_DIGIT_STROKES_H_
