#include "server/checkpoint_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <string_view>
#include <utility>

#include "common/base/check.h"
#include "common/base/digest.h"
#include "common/base/quote.h"
#include "server/shard_file.h"

namespace drover {
namespace {

constexpr std::string_view kTitle = "drover checkpoint ";
constexpr std::string_view kFormat = "1";
constexpr size_t kSha256Digits = 64;

std::string Sha256Of(std::string_view text) {
  Sha256 digest;
  digest.Update(text.data(), text.size());
  return digest.HexDigest();
}

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool AllOf(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [extra](char c) {
    return IsAlphanumeric(c) || extra.find(c) != std::string_view::npos;
  });
}

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// No slash, no leading dot: it cannot leave the directory, nor hide in it.
bool FileNameIsValid(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' && name != kManifestName &&
         AllOf(name, "_.-");
}

Status Bad(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

Status CheckText(const Manifest& manifest) {
  if (manifest.job_name.empty() || manifest.job_name.size() > 63 ||
      !AllOf(manifest.job_name, "_-")) {
    return Bad(
        fmt::format("job_name {}: expected 1 to 63 of A-Z a-z 0-9 _ -", Quote(manifest.job_name)));
  }
  if (manifest.rule.empty() || manifest.rule.size() > kShardFileRuleBytesMax ||
      !AllOf(manifest.rule, "_")) {
    return Bad(fmt::format("rule {}: expected 1 to 40 of a-z 0-9 _", Quote(manifest.rule)));
  }
  if (!manifest.spec_digest.empty() && !IsHex(manifest.spec_digest, kSha256Digits)) {
    return Bad(
        fmt::format("spec_digest {}: expected a SHA-256 or nothing", Quote(manifest.spec_digest)));
  }
  if (!IsHex(manifest.weights_digest, kSha256Digits)) {
    return Bad(
        fmt::format("weights_digest {}: expected a SHA-256", Quote(manifest.weights_digest)));
  }
  const std::string& numeric = manifest.numeric_class;
  if (numeric.size() > 200 || numeric == "-" ||
      !std::all_of(numeric.begin(), numeric.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    return Bad(
        fmt::format("numeric_class {}: expected at most 200 of printable ASCII", Quote(numeric)));
  }
  return Status();
}

Status CheckFiles(const std::vector<ManifestFile>& files, uint32_t block_count) {
  if (files.empty() || files.size() > kManifestFilesMax) {
    return Bad(fmt::format("{} files: expected 1 to {}", files.size(), kManifestFilesMax));
  }
  std::vector<std::string> names;
  uint32_t covered = 0;
  for (const ManifestFile& file : files) {
    if (!FileNameIsValid(file.name)) {
      return Bad(
          fmt::format("file name {}: expected 1 to 100 of A-Z a-z 0-9 _ . - and no leading "
                      "dot",
                      Quote(file.name)));
    }
    if (!IsHex(file.xxh3, 32)) {
      return Bad(
          fmt::format("file {}: its xxh3 {} is no XXH3-128", Quote(file.name), Quote(file.xxh3)));
    }
    if (file.blocks.begin != covered || file.blocks.end < covered) {
      return Bad(fmt::format("file {} holds blocks [{}, {}): expected them from {} on",
                             Quote(file.name), file.blocks.begin, file.blocks.end, covered));
    }
    covered = file.blocks.end;
    names.push_back(file.name);
  }
  if (covered != block_count) {
    return Bad(fmt::format("the files hold {} blocks, the layout has {}", covered, block_count));
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return Bad(fmt::format("file {} is listed twice", Quote(*twice)));
  return Status();
}

struct KindRow {
  InitRule::Kind kind;
  std::string_view name;
};
constexpr KindRow kKinds[] = {{InitRule::Kind::kConstant, "constant"},
                              {InitRule::Kind::kUniform, "uniform"},
                              {InitRule::Kind::kNormal, "normal"},
                              {InitRule::Kind::kConstantRange, "constant_range"}};

// Such as "uniform 3f000000" or "constant_range 3f800000 128-256".
std::string InitText(const InitRule& init) {
  std::string text;
  for (const KindRow& row : kKinds) {
    if (row.kind == init.kind) text = row.name;
  }
  text += fmt::format(" {:08x}", std::bit_cast<uint32_t>(init.value));
  if (init.kind == InitRule::Kind::kConstantRange) {
    text += fmt::format(" {}-{}", init.begin, init.end);
  }
  return text;
}

// One line of `key value`; the reader demands them in the writer's order.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  // The rest of the next line if it starts with `key` and a space, else a fault.
  std::string_view Take(std::string_view key) {
    const size_t end = text_.find('\n');
    std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    if (line.size() <= key.size() || line.substr(0, key.size()) != key || line[key.size()] != ' ') {
      Fail(fmt::format("expected a line \"{} ...\", found {}", key, Quote(line)));
      return {};
    }
    return line.substr(key.size() + 1);
  }

  template <typename T>
  T TakeInteger(std::string_view key, int base = 10) {
    return Integer<T>(Take(key), base);
  }

  template <typename T>
  T Integer(std::string_view text, int base = 10) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) {
      Fail(fmt::format("{} is not a number in range", Quote(text)));
    }
    return value;
  }

  void Fail(std::string fault) {
    if (status_.ok()) status_ = Status(Code::kDataLoss, "manifest: " + std::move(fault));
  }
  const Status& status() const { return status_; }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
  Status status_;
};

// Cuts `text` at the first `separator`; the rest stays in `text`.
std::string_view Word(std::string_view* text, char separator = ' ') {
  const size_t end = text->find(separator);
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return word;
}

TensorSpec TakeTensor(Lines* lines) {
  std::string_view rest = lines->Take("tensor");
  TensorSpec tensor;
  tensor.name = Word(&rest);
  const std::string_view kind = Word(&rest);
  const auto* const row =
      std::ranges::find_if(kKinds, [kind](const KindRow& known) { return known.name == kind; });
  if (row == std::end(kKinds)) {
    lines->Fail(fmt::format("tensor {}: unknown initial rule {}", Quote(tensor.name), Quote(kind)));
    return tensor;
  }
  tensor.init.kind = row->kind;
  tensor.init.value = std::bit_cast<float>(lines->Integer<uint32_t>(Word(&rest), 16));
  if (row->kind == InitRule::Kind::kConstantRange) {
    std::string_view range = Word(&rest);
    tensor.init.begin = lines->Integer<uint64_t>(Word(&range, '-'));
    tensor.init.end = lines->Integer<uint64_t>(range);
  }
  do {
    tensor.shape.push_back(lines->Integer<int64_t>(Word(&rest, 'x')));
  } while (!rest.empty() && lines->status().ok());
  return tensor;
}

ManifestFile TakeFile(Lines* lines) {
  std::string_view rest = lines->Take("file");
  ManifestFile file;
  file.name = Word(&rest);
  file.bytes = lines->Integer<uint64_t>(Word(&rest));
  file.xxh3 = Word(&rest);
  file.blocks.begin = lines->Integer<uint32_t>(Word(&rest));
  file.blocks.end = lines->Integer<uint32_t>(rest);
  return file;
}

// "-" stands for an empty value.
std::string Dash(const std::string& value) { return value.empty() ? "-" : value; }
std::string Undash(std::string_view text) { return text == "-" ? "" : std::string(text); }

std::string RenderBody(const Manifest& manifest) {
  std::string text = fmt::format("{}{}\n", kTitle, kFormat);
  text += fmt::format("job {:016x}\n", manifest.job);
  text += fmt::format("job_name {}\n", manifest.job_name);
  text += fmt::format("version {}\napplied {}\n", manifest.version, manifest.applied);
  text += fmt::format("epoch {}\n", manifest.epoch);
  text += fmt::format("rule {}\nslots {}\n", manifest.rule, manifest.slots);
  text += fmt::format("spec_digest {}\n", Dash(manifest.spec_digest));
  text += fmt::format("numeric_class {}\n", Dash(manifest.numeric_class));
  text += fmt::format("weights_digest {}\n", manifest.weights_digest);
  text += fmt::format("created_unix_ms {}\n", manifest.created_unix_ms);
  text += fmt::format("tensors {}\n", manifest.tensors.size());
  for (const TensorSpec& tensor : manifest.tensors) {
    text += fmt::format("tensor {} {} {}\n", tensor.name, InitText(tensor.init),
                        fmt::join(tensor.shape, "x"));
  }
  text += fmt::format("files {}\n", manifest.files.size());
  for (const ManifestFile& file : manifest.files) {
    text += fmt::format("file {} {} {} {} {}\n", file.name, file.bytes, file.xxh3,
                        file.blocks.begin, file.blocks.end);
  }
  return text;
}

// What stands before the last line, once that line has proved it.
Result<std::string_view> VerifiedBody(std::string_view text) {
  constexpr std::string_view key = "sha256 ";
  const size_t last_line = key.size() + kSha256Digits + 1;
  if (text.size() <= last_line || text.substr(text.size() - last_line, key.size()) != key) {
    return Status(Code::kDataLoss, "manifest: its last line, \"sha256 ...\", is missing");
  }
  const std::string_view body = text.substr(0, text.size() - last_line);
  if (text.substr(body.size()) != fmt::format("{}{}\n", key, Sha256Of(body))) {
    return Status(Code::kDataLoss, "manifest: it does not match the digest in its last line");
  }
  return body;
}

}  // namespace

Status CheckManifest(const Manifest& manifest) {
  DROVER_RETURN_IF_ERROR(CheckText(manifest));
  if (manifest.version < 0 || manifest.applied < 0 || manifest.applied > manifest.version) {
    return Bad(fmt::format("version {} with {} updates applied: expected 0 <= applied <= version",
                           manifest.version, manifest.applied));
  }
  if (manifest.slots > kShardFileSlotsMax) return Bad(fmt::format("{} slots", manifest.slots));
  const Result<Layout> layout = Layout::Make(manifest.tensors);
  if (!layout.ok()) return layout.status();
  return CheckFiles(manifest.files, layout.value().block_count());
}

std::string RenderManifest(const Manifest& manifest) {
  DROVER_CHECK(CheckManifest(manifest).ok());
  const std::string body = RenderBody(manifest);
  return fmt::format("{}sha256 {}\n", body, Sha256Of(body));
}

Result<Manifest> ParseManifest(const std::string& text) {
  const Result<std::string_view> body = VerifiedBody(text);
  if (!body.ok()) return body.status();
  Lines lines(body.value());
  const std::string_view format = lines.Take(kTitle.substr(0, kTitle.size() - 1));
  DROVER_RETURN_IF_ERROR(lines.status());
  if (format != kFormat) {
    return Status(Code::kUnimplemented,
                  fmt::format("manifest of format {}, this program reads {}: use a newer one",
                              Quote(format), kFormat));
  }
  Manifest manifest;
  manifest.job = lines.TakeInteger<uint64_t>("job", 16);
  manifest.job_name = lines.Take("job_name");
  manifest.version = lines.TakeInteger<int64_t>("version");
  manifest.applied = lines.TakeInteger<int64_t>("applied");
  manifest.epoch = lines.TakeInteger<uint32_t>("epoch");
  manifest.rule = lines.Take("rule");
  manifest.slots = lines.TakeInteger<uint32_t>("slots");
  manifest.spec_digest = Undash(lines.Take("spec_digest"));
  manifest.numeric_class = Undash(lines.Take("numeric_class"));
  manifest.weights_digest = lines.Take("weights_digest");
  manifest.created_unix_ms = lines.TakeInteger<uint64_t>("created_unix_ms");
  // No memory is set aside for these counts: each line has to be there.
  const uint64_t tensors = lines.TakeInteger<uint64_t>("tensors");
  for (uint64_t i = 0; i < tensors && lines.status().ok(); ++i) {
    manifest.tensors.push_back(TakeTensor(&lines));
  }
  const uint64_t files = lines.TakeInteger<uint64_t>("files");
  for (uint64_t i = 0; i < files && lines.status().ok(); ++i) {
    manifest.files.push_back(TakeFile(&lines));
  }
  DROVER_RETURN_IF_ERROR(lines.status());
  const Status sound = CheckManifest(manifest);
  if (!sound.ok()) return Status(Code::kDataLoss, "manifest: " + sound.message());
  // Leading zeros, spare blanks, lines at the end: there is one right text.
  if (RenderBody(manifest) != body.value()) {
    return Status(Code::kDataLoss, "manifest: not in canonical form");
  }
  return manifest;
}

}  // namespace drover
