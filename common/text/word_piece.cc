#include "common/text/word_piece.h"

#include <string>

#include "common/text/pre_tokenizer.h"

namespace drover {

void EncodeWord(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>* ids) {
  const std::vector<size_t> starts = CharacterStarts(word);
  const size_t characters = starts.size() - 1;
  const size_t ids_before = ids->size();
  bool known = characters <= kWordCharactersMax;
  std::string candidate;
  for (size_t begin = 0; known && begin < characters;) {
    size_t end = characters;
    int32_t id = -1;
    for (; end > begin; --end) {
      candidate.assign(begin == 0 ? std::string_view() : kContinuation);
      candidate.append(word.substr(starts[begin], starts[end] - starts[begin]));
      id = vocabulary.Find(candidate);
      if (id >= 0) break;
    }
    known = id >= 0;
    if (known) ids->push_back(id);
    begin = end;
  }
  if (known) return;
  ids->resize(ids_before);
  ids->push_back(vocabulary.specials().unk);
}

Result<std::vector<int32_t>> EncodeLine(const Vocabulary& vocabulary, std::string_view line,
                                        bool lowercase) {
  const Result<std::vector<std::string>> words = SplitWords(line, lowercase);
  if (!words.ok()) return words.status();
  std::vector<int32_t> ids;
  for (const std::string& word : words.value()) EncodeWord(vocabulary, word, &ids);
  return ids;
}

}  // namespace drover
