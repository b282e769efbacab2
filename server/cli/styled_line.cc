#include "server/cli/styled_line.h"

#include <algorithm>

namespace drover {
namespace {

const char* EscapeOf(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kStrong:
      return "\x1b[1m";
    case Tone::kDim:
      return "\x1b[2m";
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kWarning:
      return "\x1b[33m";
    case Tone::kBad:
      return "\x1b[31m";
  }
  return "";  // Not reached: the switch is complete.
}

constexpr char kReset[] = "\x1b[0m";

}  // namespace

StyledLine& StyledLine::Add(std::string_view text, Tone tone) {
  std::string clean(text);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  width_ += clean.size();
  pieces_.push_back({std::move(clean), tone, fields_});
  return *this;
}

StyledLine& StyledLine::AddField(std::string_view label, std::string_view value, Tone tone) {
  ++fields_;
  if (width_ > 0) Add("  ");
  if (!label.empty()) Add(std::string(label) + " ", Tone::kDim);
  return Add(value, tone);
}

int StyledLine::FieldsThatFit(size_t width_max) const {
  size_t end = 0;
  for (const Piece& piece : pieces_) {
    end += piece.text.size();
    if (end > width_max) return std::max(0, piece.field - 1);
  }
  return fields_;
}

std::string StyledLine::Render(size_t width_max, bool color) const {
  const int fields_shown = FieldsThatFit(width_max);
  std::string line;
  size_t left = width_max;
  for (const Piece& piece : pieces_) {
    if (piece.field > fields_shown) break;
    const std::string text = piece.text.substr(0, left);
    left -= text.size();
    const bool styled = color && piece.tone != Tone::kPlain && !text.empty();
    line += styled ? EscapeOf(piece.tone) + text + kReset : text;
  }
  return line;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows, bool color) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table;
  for (size_t r = 0; r < rows.size(); ++r) {
    StyledLine line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const bool last = i + 1 == rows[r].size();
      std::string cell = rows[r][i];
      if (!last) cell.resize(widths[i] + 2, ' ');
      line.Add(cell, r == 0 ? Tone::kDim : Tone::kPlain);
    }
    table += line.Render(std::string::npos, color) + '\n';
  }
  return table;
}

}  // namespace drover
