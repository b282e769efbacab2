#include "server/cli/tokenize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "common/base/file_system.h"
#include "common/base/quote.h"
#include "common/text/text_file.h"
#include "common/text/token_file.h"
#include "common/text/word_piece.h"
#include "common/text/word_piece_trainer.h"

namespace drover {
namespace {

constexpr char kManifestFile[] = "dataset.json";
constexpr uint64_t kLinesPerLook = 1024;  // Between two looks for an interrupt.
constexpr uint64_t kDocumentsMin = 2;

// Calls line(text) for every line of every input and end() behind each input. The first error ends
// it, with the place.
Status ForEachLine(const TokenizeOptions& options,
                   const std::function<Status(std::string_view)>& line,
                   const std::function<void()>& end) {
  uint64_t lines = 0;
  for (const std::string& path : options.inputs) {
    Result<std::unique_ptr<TextFile>> file = TextFile::Open(FileSystem::Real(), path);
    if (!file.ok()) return file.status();
    std::string_view text;
    while (true) {
      const Result<bool> more = file.value()->Next(&text);
      if (!more.ok()) return more.status();
      if (!more.value()) break;
      DROVER_RETURN_IF_ERROR(line(text).Annotate(file.value()->Where()));
      if (++lines % kLinesPerLook == 0 && options.interrupted()) {
        return Status(Code::kCancelled, "interrupted; no file was written");
      }
    }
    end();
  }
  return Status();
}

// Every 1 / fraction-th document, counted from the middle of the first such run.
bool IsHeldOut(uint64_t document, double fraction) {
  const auto before = [fraction](uint64_t documents) {
    return std::floor(static_cast<double>(documents) * fraction + 0.5);
  };
  return before(document + 1) > before(document);
}

Status CheckDocuments(const TokenText& text, const char* part, const TokenizeOptions& options) {
  if (text.documents() >= kDocumentsMin) return Status();
  return Status(Code::kInvalidArgument,
                fmt::format("the {} part has {} documents, expected at least {}; a blank line "
                            "separates documents, --test-fraction is {}",
                            part, text.documents(), kDocumentsMin, options.test_fraction));
}

nlohmann::ordered_json PartOf(const char* name, const TokenText& text) {
  return {{"file", name},
          {"documents", text.documents()},
          {"sentences", text.sentences()},
          {"tokens", text.tokens()}};
}

}  // namespace

Result<Vocabulary> PrepareVocabulary(const TokenizeOptions& options) {
  if (!options.vocabulary_path.empty()) {
    const Result<std::string> text =
        FileSystem::Real().ReadUserFile(options.vocabulary_path, kVocabularyBytesMax);
    if (!text.ok()) return text.status();
    Result<Vocabulary> vocabulary = Vocabulary::FromText(text.value());
    if (!vocabulary.ok()) return vocabulary.status().Annotate(Quote(options.vocabulary_path));
    return vocabulary;
  }
  WordPieceTrainer trainer;
  DROVER_RETURN_IF_ERROR(ForEachLine(
      options, [&](std::string_view line) { return trainer.AddLine(line, options.lowercase); },
      [] {}));
  return trainer.Train(options.vocabulary_size);
}

Result<TokenizedText> TokenizeText(const TokenizeOptions& options, const Vocabulary& vocabulary) {
  const TokenTextInfo info = {.vocabulary_size = static_cast<int32_t>(vocabulary.size()),
                              .specials = vocabulary.specials(),
                              .lowercase = options.lowercase,
                              .vocabulary_hash = vocabulary.Hash()};
  TokenizedText text{.train = TokenText(info), .test = TokenText(info)};
  const auto part = [&]() -> TokenText& {
    const uint64_t document = text.train.documents() + text.test.documents();
    return IsHeldOut(document, options.test_fraction) ? text.test : text.train;
  };
  const auto add_line = [&](std::string_view line) {
    const Result<std::vector<int32_t>> ids = EncodeLine(vocabulary, line, options.lowercase);
    if (!ids.ok()) return ids.status();
    if (ids.value().empty()) part().EndDocument();
    const std::span<const int32_t> all = ids.value();
    for (size_t i = 0; i < all.size(); i += kSentenceTokensMax) {
      part().AddSentence(all.subspan(i, std::min(kSentenceTokensMax, all.size() - i)));
    }
    text.unknown += static_cast<uint64_t>(std::count(all.begin(), all.end(), info.specials.unk));
    return Status();
  };
  DROVER_RETURN_IF_ERROR(ForEachLine(options, add_line, [&] { part().EndDocument(); }));
  DROVER_RETURN_IF_ERROR(CheckDocuments(text.train, "training", options));
  DROVER_RETURN_IF_ERROR(CheckDocuments(text.test, "held-out", options));
  return text;
}

Status WriteDataset(const TokenizeOptions& options, const Vocabulary& vocabulary,
                    const TokenizedText& text, std::string* manifest) {
  FileSystem& fs = FileSystem::Real();
  const nlohmann::ordered_json json = {
      {"format", 1},
      {"vocabulary",
       {{"file", kVocabularyName}, {"size", vocabulary.size()}, {"xxh3_128", vocabulary.Hash()}}},
      {"lowercase", options.lowercase},
      {"train", PartOf(kTrainTokensName, text.train)},
      {"test", PartOf(kTestTokensName, text.test)}};
  *manifest = json.dump(2) + "\n";
  DROVER_RETURN_IF_ERROR(fs.MakeDirectories(options.out));
  const std::string folder = options.out + "/";
  // An older manifest must not vouch for a mixture of files.
  DROVER_RETURN_IF_ERROR(fs.RemoveAll(folder + kManifestFile));
  DROVER_RETURN_IF_ERROR(WriteWhole(fs, folder + kVocabularyName, vocabulary.ToText()));
  DROVER_RETURN_IF_ERROR(WriteTokenFile(fs, folder + kTrainTokensName, text.train));
  DROVER_RETURN_IF_ERROR(WriteTokenFile(fs, folder + kTestTokensName, text.test));
  return WriteWhole(fs, folder + kManifestFile, *manifest);
}

}  // namespace drover
