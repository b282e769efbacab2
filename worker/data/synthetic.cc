// Only operations that IEEE 754 rounds exactly (+ - * / sqrt, no libm), so that every machine draws
// the same bytes.

#include "worker/data/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "common/base/philox.h"
#include "worker/data/digit_strokes.h"

namespace drover {
namespace {

constexpr int kSide = kSyntheticSide;
constexpr int kPixels = kSide * kSide;
constexpr uint64_t kSyntheticStream = uint64_t{0x44} << 56;  // Apart from other uses of a seed.
constexpr uint64_t kCallsPerSample = 256;

// The random numbers of one sample, in order of use.
class Draws {
 public:
  Draws(uint64_t seed, Split split, uint64_t index)
      : seed_(seed),
        stream_(kSyntheticStream + static_cast<uint64_t>(split)),
        call_(index * kCallsPerSample) {}

  uint32_t Word() {
    if (used_ == words_.size()) {
      words_ = Philox(seed_, stream_, call_++);
      used_ = 0;
    }
    return words_[used_++];
  }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>((uint64_t{Word()} * n) >> 32); }
  float Uniform(float low, float high) { return low + (high - low) * UnitFloat(Word()); }
  // Bell-shaped in (-amplitude, amplitude), standard deviation 0.41 of it: a sum of two uniforms.
  float Bell(float amplitude) {
    const float first = UnitFloat(Word());
    return (first + UnitFloat(Word()) - 1.0f) * amplitude;
  }

 private:
  const uint64_t seed_;
  const uint64_t stream_;
  uint64_t call_;
  std::array<uint32_t, 4> words_{};
  size_t used_ = 4;
};

// Digit box to pixels: a cubic warp (every hand bends its strokes), then an affine map.
class Deformation {
 public:
  explicit Deformation(Draws* draws) {
    for (float& c : warp_x_) c = draws->Bell(kWarp);
    for (float& c : warp_y_) c = draws->Bell(kWarp);
    // cos and sin of the angle whose half has tangent t: rational, hence exact everywhere.
    const float t = draws->Bell(kHalfAngleTangent);
    const float cosine = (1.0f - t * t) / (1.0f + t * t);
    const float sine = 2.0f * t / (1.0f + t * t);
    const float height = draws->Uniform(kHeightMin, kHeightMax);
    const float width = height * draws->Uniform(kAspectMin, kAspectMax);
    const float shear = draws->Bell(kShear);
    xx_ = cosine * width;
    xy_ = (cosine * shear - sine) * height;
    yx_ = sine * width;
    yy_ = (sine * shear + cosine) * height;
    shift_x_ = 0.5f * kSide + draws->Bell(kShift);
    shift_y_ = 0.5f * kSide + draws->Bell(kShift);
  }

  PenPoint Map(PenPoint p) const {
    const float x = p.x - 0.5f;
    const float y = p.y - 0.5f;
    const std::array<float, kTerms> terms = {x * y, x * x, y * y, x * x * y, x * y * y, y * y * y};
    float u = x;
    float v = y;
    for (size_t i = 0; i < kTerms; ++i) {
      u += warp_x_[i] * terms[i];
      v += warp_y_[i] * terms[i];
    }
    return {shift_x_ + xx_ * u + xy_ * v, shift_y_ + yx_ * u + yy_ * v};
  }

 private:
  static constexpr size_t kTerms = 6;
  static constexpr float kWarp = 0.7f;
  static constexpr float kHalfAngleTangent = 0.16f;  // 18 degrees at most.
  static constexpr float kHeightMin = 16.5f;         // Pixels.
  static constexpr float kHeightMax = 22.0f;
  static constexpr float kAspectMin = 0.65f;
  static constexpr float kAspectMax = 1.05f;
  static constexpr float kShear = 0.4f;
  static constexpr float kShift = 2.55f;  // Pixels.

  std::array<float, kTerms> warp_x_;
  std::array<float, kTerms> warp_y_;
  float xx_, xy_, yx_, yy_, shift_x_, shift_y_;
};

// Squared distance of every pixel's centre to the nearest line drawn so far, in pixels.
class Canvas {
 public:
  explicit Canvas(float reach) : reach_(reach) { squared_.fill(1e6f); }

  void DrawLine(PenPoint a, PenPoint b) {
    const float dx = b.x - a.x;
    const float dy = b.y - a.y;
    const float length_squared = std::max(dx * dx + dy * dy, 1e-6f);
    const int column_begin = Clip(std::min(a.x, b.x) - reach_);
    const int column_end = Clip(std::max(a.x, b.x) + reach_ + 1.0f);
    const int row_end = Clip(std::max(a.y, b.y) + reach_ + 1.0f);
    for (int row = Clip(std::min(a.y, b.y) - reach_); row < row_end; ++row) {
      for (int column = column_begin; column < column_end; ++column) {
        const float px = static_cast<float>(column) + 0.5f - a.x;
        const float py = static_cast<float>(row) + 0.5f - a.y;
        const float along = (px * dx + py * dy) / length_squared;
        const float t = std::min(std::max(along, 0.0f), 1.0f);
        const float ex = px - t * dx;
        const float ey = py - t * dy;
        float& squared = squared_[static_cast<size_t>(row * kSide + column)];
        squared = std::min(squared, ex * ex + ey * ey);
      }
    }
  }

  float Distance(int pixel) const { return std::sqrt(squared_[static_cast<size_t>(pixel)]); }

 private:
  static int Clip(float position) {
    return static_cast<int>(std::min(std::max(position, 0.0f), static_cast<float>(kSide)));
  }

  const float reach_;  // Lines change nothing further away than this.
  std::array<float, kPixels> squared_;
};

// Point at t in [0, 1] of the uniform Catmull-Rom span from b to c (Catmull and Rom, 1974).
PenPoint OnSpan(PenPoint a, PenPoint b, PenPoint c, PenPoint d, float t) {
  const auto blend = [t](float p, float q, float r, float s) {
    const float quadratic = 2.0f * p - 5.0f * q + 4.0f * r - s;
    const float cubic = 3.0f * (q - r) + s - p;
    return 0.5f * (2.0f * q + t * (r - p + t * (quadratic + t * cubic)));
  };
  return {blend(a.x, b.x, c.x, d.x), blend(a.y, b.y, c.y, d.y)};
}

void DrawStroke(const PenStroke& stroke, const Deformation& deformation, Draws* draws,
                Canvas* canvas) {
  constexpr float kTremor = 0.035f;
  constexpr int kLinesPerSpan = 4;
  std::array<PenPoint, 12> points;
  const size_t count = std::min(stroke.size(), points.size());
  for (size_t i = 0; i < count; ++i) {
    points[i] = {stroke[i].x + draws->Bell(kTremor), stroke[i].y + draws->Bell(kTremor)};
  }
  PenPoint from = deformation.Map(points[0]);
  for (size_t i = 0; i + 1 < count; ++i) {
    const PenPoint& before = points[i == 0 ? 0 : i - 1];
    const PenPoint& after = points[std::min(i + 2, count - 1)];
    for (int k = 1; k <= kLinesPerSpan; ++k) {
      const float t = static_cast<float>(k) / kLinesPerSpan;
      const PenPoint to = deformation.Map(OnSpan(before, points[i], points[i + 1], after, t));
      canvas->DrawLine(from, to);
      from = to;
    }
  }
}

// A stray mark somewhere on the paper.
void DrawDistractor(Draws* draws, Canvas* canvas) {
  const PenPoint from = {draws->Uniform(1.0f, kSide - 1.0f), draws->Uniform(1.0f, kSide - 1.0f)};
  const PenPoint to = {from.x + draws->Bell(5.0f), from.y + draws->Bell(5.0f)};
  canvas->DrawLine(from, to);
}

}  // namespace

uint8_t DrawSyntheticDigit(uint64_t seed, Split split, uint64_t index, uint8_t* pixels) {
  constexpr uint32_t kDistractorPercent = 20;
  Draws draws(seed, split, index);
  const uint8_t digit = static_cast<uint8_t>(draws.Below(10));
  const std::span<const Glyph> glyphs = GlyphsOf(digit);
  const Glyph& glyph = glyphs[draws.Below(static_cast<uint32_t>(glyphs.size()))];
  const Deformation deformation(&draws);
  const float pen_radius = draws.Uniform(0.6f, 1.6f);  // Pixels.
  const float edge = draws.Uniform(0.8f, 1.6f);        // Pixels from full ink to none.
  const float ink = draws.Uniform(170.0f, 255.0f);
  const float noise = draws.Uniform(0.0f, 30.0f);

  Canvas canvas(pen_radius + edge);
  for (const PenStroke& stroke : glyph) DrawStroke(stroke, deformation, &draws, &canvas);
  if (draws.Below(100) < kDistractorPercent) DrawDistractor(&draws, &canvas);

  for (int i = 0; i < kPixels; ++i) {
    const float cover = 0.5f + (pen_radius - canvas.Distance(i)) / edge;
    const float grain = draws.Bell(noise);
    const float value = ink * std::min(std::max(cover, 0.0f), 1.0f) + grain;
    pixels[i] = static_cast<uint8_t>(std::min(std::max(value, 0.0f), 255.0f));
  }
  return digit;
}

Result<std::unique_ptr<ImageDataset>> MakeSyntheticDataset(uint64_t seed, Split split,
                                                           uint64_t size) {
  if (size == 0 || size > kSyntheticSizeMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("synthetic digits: {} samples of split {}, expected 1 to {}", size,
                              SplitName(split), kSyntheticSizeMax));
  }
  std::vector<uint8_t> pixels(size * kPixels);
  std::vector<uint8_t> labels(size);
  for (uint64_t i = 0; i < size; ++i) {
    labels[i] = DrawSyntheticDigit(seed, split, i, pixels.data() + i * kPixels);
  }
  return std::make_unique<ImageDataset>(kSide, kSide, 10, std::move(pixels), std::move(labels));
}

}  // namespace drover
