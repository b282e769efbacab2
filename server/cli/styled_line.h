// One line of text in pieces of different tones, so that its width is known whatever colours are
// used. Pure values.

#ifndef DROVER_SERVER_CLI_STYLED_LINE_H_
#define DROVER_SERVER_CLI_STYLED_LINE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

enum class Tone { kPlain, kStrong, kDim, kGood, kWarning, kBad };

class StyledLine {
 public:
  // ASCII; control bytes become '?', so that no text from outside moves the cursor.
  StyledLine& Add(std::string_view text, Tone tone = Tone::kPlain);
  // "label value", the label dim, after two spaces when something stands before it.
  StyledLine& AddField(std::string_view label, std::string_view value, Tone tone = Tone::kPlain);

  size_t width() const { return width_; }
  // At most `width_max` characters, without the first field that does not fit whole and all that
  // follow it; text that stands before any field is cut. Escape sequences only with `color`.
  std::string Render(size_t width_max, bool color) const;

 private:
  int FieldsThatFit(size_t width_max) const;

  struct Piece {
    std::string text;
    Tone tone;
    int field;  // 0: before any field.
  };
  std::vector<Piece> pieces_;
  size_t width_ = 0;
  int fields_ = 0;
};

// Rows in columns as wide as their widest cell, two spaces apart; the first row is the head.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows, bool color);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_STYLED_LINE_H_
