#include "server/cli/data_commands.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/text/token_file.h"
#include "server/cli/exit_code.h"
#include "server/cli/format.h"
#include "server/cli/interrupt.h"

namespace drover {
namespace {

std::string Count(uint64_t number) { return FormatThousands(static_cast<int64_t>(number)); }

int ReportData(const Status& status) {
  if (status.code() == Code::kCancelled) {
    ReportError(status);
    return kExitInterrupted;
  }
  return ReportError(status);
}

// One line of the table, with the seconds since `*begin`, which moves on to now.
void PrintRow(const char* name, const std::string& text, Instant* begin) {
  const Instant now = Clock::Real().Now();
  fmt::print("{:<14}{:<64}{:>7.1f} s\n", name, text, Seconds(now - *begin));
  (void)std::fflush(stdout);
  *begin = now;
}

std::string PartRow(const TokenText& text) {
  return fmt::format("{} tokens in {} sentences of {} documents", Count(text.tokens()),
                     Count(text.sentences()), Count(text.documents()));
}

}  // namespace

int TokenizeCommand(const GlobalOptions& global, TokenizeOptions options) {
  options.interrupted = Interrupted;
  Instant begin = Clock::Real().Now();
  const auto row = [&](const char* name, const std::string& text) {
    if (!global.json()) PrintRow(name, text, &begin);
  };
  const Result<Vocabulary> vocabulary = PrepareVocabulary(options);
  if (!vocabulary.ok()) return ReportData(vocabulary.status());
  row(kVocabularyName, fmt::format("{} tokens", Count(vocabulary.value().size())));
  const Result<TokenizedText> text = TokenizeText(options, vocabulary.value());
  if (!text.ok()) return ReportData(text.status());
  row("text", fmt::format("{} of {} tokens are [UNK]", Count(text.value().unknown),
                          Count(text.value().train.tokens() + text.value().test.tokens())));
  std::string manifest;
  const Status written = WriteDataset(options, vocabulary.value(), text.value(), &manifest);
  if (!written.ok()) return ReportData(written);
  if (global.json()) fmt::print("{}", manifest);
  row(kTrainTokensName, PartRow(text.value().train));
  row(kTestTokensName, PartRow(text.value().test));
  fmt::print(stderr, "hint: in the job file: dataset: {{text: {{path: {}}}}}\n", options.out);
  return kExitOk;
}

}  // namespace drover
