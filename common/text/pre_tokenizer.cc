#include "common/text/pre_tokenizer.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace drover {
namespace {

constexpr UChar32 kReplacement = 0xFFFD;

bool IsControl(UChar32 c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const uint32_t mask = U_GET_GC_MASK(c);
  return (mask & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK)) != 0;
}

bool IsSpace(UChar32 c) {
  return c == '\t' || c == '\n' || c == '\r' || (U_GET_GC_MASK(c) & U_GC_Z_MASK) != 0;
}

// ASCII characters that are neither letter, digit nor space count too, such as "^" and "$".
bool IsPunctuation(UChar32 c) {
  if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
      (c >= 123 && c <= 126)) {
    return true;
  }
  return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0;
}

// The blocks of tokenization.py, _is_chinese_char.
bool IsIdeograph(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

void AppendUtf8(UChar32 c, std::string* out) {
  const auto append = [out](UChar32 byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    append(c);
    return;
  }
  if (c < 0x800) {
    append(0xC0 | (c >> 6));
  } else if (c < 0x10000) {
    append(0xE0 | (c >> 12));
    append(0x80 | ((c >> 6) & 0x3F));
  } else {
    append(0xF0 | (c >> 18));
    append(0x80 | ((c >> 12) & 0x3F));
    append(0x80 | ((c >> 6) & 0x3F));
  }
  append(0x80 | (c & 0x3F));
}

struct Character {
  UChar32 c = 0;
  size_t bytes = 0;  // 0: these are not UTF-8.
};

// The first character of `text`, which is not empty. (ICU's macros do the same, but not without
// warnings.) Well-formed UTF-8 only: Unicode 15, table 3-7.
Character Decode(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const UChar32 lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  UChar32 c = lead & (0x7F >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    c = (c << 6) | (byte(i) & 0x3F);
  }
  const bool shortest = c >= (bytes == 4 ? 0x10000 : bytes == 3 ? 0x800 : 0x80);
  return shortest && c <= 0x10FFFF && !U_IS_SURROGATE(c) ? Character{c, bytes} : Character{};
}

// Valid UTF-8 to UTF-16 without what BERT drops, or a Status that names the first bad byte.
Result<std::u16string> CleanText(std::string_view line) {
  if (line.size() > kLineBytesMax) {
    return Status(Code::kInvalidArgument, fmt::format("a line of {} bytes, expected at most {}",
                                                      line.size(), kLineBytesMax));
  }
  std::u16string text;
  text.reserve(line.size());
  for (size_t i = 0; i < line.size();) {
    const Character character = Decode(line.substr(i));
    if (character.bytes == 0) {
      return Status(Code::kInvalidArgument,
                    fmt::format("byte {} of the line is {:#04x}, which is not UTF-8 here; convert "
                                "the text, such as with iconv -t UTF-8",
                                i + 1, static_cast<uint8_t>(line[i])));
    }
    i += character.bytes;
    const UChar32 c = character.c;
    if (c == 0 || c == kReplacement || IsControl(c)) continue;
    if (c <= 0xFFFF) {
      text.push_back(static_cast<char16_t>(c));
    } else {
      text.push_back(U16_LEAD(c));
      text.push_back(U16_TRAIL(c));
    }
  }
  return text;
}

// Canonical decomposition.
std::u16string Decompose(const std::u16string& text) {
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* const nfd = unorm2_getNFDInstance(&error);
  DROVER_CHECK(U_SUCCESS(error));                   // Its data are part of the library.
  std::u16string out(text.size() * 4 + 16, u'\0');  // NFD is at most four times as long (UAX 15).
  const int32_t size = unorm2_normalize(nfd, text.data(), static_cast<int32_t>(text.size()),
                                        out.data(), static_cast<int32_t>(out.size()), &error);
  DROVER_CHECK(U_SUCCESS(error));
  out.resize(static_cast<size_t>(size));
  return out;
}

}  // namespace

Result<std::vector<std::string>> SplitWords(std::string_view line, bool lowercase) {
  Result<std::u16string> clean = CleanText(line);
  if (!clean.ok()) return clean.status();
  const bool ascii = clean.value().size() == line.size() &&
                     std::all_of(line.begin(), line.end(), [](char c) { return c >= 0; });
  const std::u16string text =
      lowercase && !ascii ? Decompose(clean.value()) : std::move(clean).value();

  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&words, &word] {
    if (!word.empty()) words.push_back(std::exchange(word, std::string()));
  };
  const int32_t size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c = 0;
    U16_NEXT(text.data(), i, size, c);
    if (lowercase) {
      if (U_GET_GC_MASK(c) & U_GC_MN_MASK) continue;
      c = u_tolower(c);
    }
    if (IsSpace(c)) {
      end_word();
    } else if (IsPunctuation(c) || IsIdeograph(c)) {
      end_word();
      AppendUtf8(c, &word);
      end_word();
    } else {
      AppendUtf8(c, &word);
    }
  }
  end_word();
  return words;
}

std::vector<size_t> CharacterStarts(std::string_view word) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < word.size(); ++i) {
    if ((static_cast<uint8_t>(word[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(word.size());
  return starts;
}

}  // namespace drover
