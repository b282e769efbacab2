#include "common/text/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/base/quote.h"

namespace drover {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written as memory lies");

constexpr uint32_t kFormat = 1;
constexpr uint32_t kByteOrder = 0x01020304;
constexpr uint32_t kFlagLowercase = 1;
constexpr std::array<char, 8> kMagic = {'D', 'R', 'V', 'R', 'T', 'O', 'K', 'S'};
constexpr uint64_t kCountMax = uint64_t{1} << 48;  // So that sizes in bytes do not overflow.

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t format = kFormat;
  uint32_t byte_order = kByteOrder;
  uint64_t file_bytes = 0;
  uint32_t token_bytes = 0;
  uint32_t vocabulary_size = 0;
  std::array<uint32_t, 5> specials{};  // In the order of SpecialTokens::Ids.
  uint32_t flags = 0;
  uint64_t documents = 0;
  uint64_t sentences = 0;
  uint64_t tokens = 0;
  std::array<char, 32> vocabulary_hash{};
  uint64_t zero = 0;
  uint32_t payload_crc = 0;
  uint32_t header_crc = 0;  // Of the bytes before.
};
static_assert(sizeof(Header) == 128 && offsetof(Header, header_crc) == 124);

uint32_t HeaderCrc(const Header& header) { return Crc32c(&header, offsetof(Header, header_crc)); }

uint64_t FileBytes(const Header& header) {
  return sizeof(Header) + sizeof(uint64_t) * (header.documents + 1 + header.sentences + 1) +
         header.token_bytes * header.tokens;
}

// The parts of the payload in the order of the file.
struct Part {
  const void* data;
  size_t size;
};

Status AppendAll(WritableFile* file, std::span<const Part> parts) {
  for (const Part& part : parts) DROVER_RETURN_IF_ERROR(file->Append(part.data, part.size));
  DROVER_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

Status WriteParts(FileSystem& fs, const std::string& path, std::span<const Part> parts) {
  uint64_t bytes = 0;
  for (const Part& part : parts) bytes += part.size;
  const std::string temporary = path + ".tmp";
  Result<std::unique_ptr<WritableFile>> file = fs.Create(temporary, bytes);
  if (!file.ok()) return file.status();
  Status status = AppendAll(file.value().get(), parts);
  if (status.ok()) status = fs.Rename(temporary, path);
  if (!status.ok()) {
    (void)fs.RemoveAll(temporary);
    return status;
  }
  const size_t slash = path.rfind('/');
  return fs.SyncDirectory(slash == std::string::npos ? "."
                                                     : path.substr(0, std::max(slash, size_t{1})));
}

bool StrictlyRising(std::span<const uint64_t> starts) {
  return std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) == starts.end();
}

}  // namespace

// Reads one file. The errors that name it are made here.
class TokenFileReader {
 public:
  TokenFileReader(FileSystem& fs, const std::string& path) : fs_(fs), path_(path) {}

  Result<TokenText> Read() {
    Result<std::unique_ptr<ReadableFile>> file = fs_.OpenUserFile(path_);
    if (!file.ok()) return file.status();
    file_ = std::move(file).value();
    DROVER_RETURN_IF_ERROR(ReadHeader());
    TokenText text(Info());
    try {
      text.document_starts_.resize(header_.documents + 1);
      text.sentence_starts_.resize(header_.sentences + 1);
      if (header_.token_bytes == 2) {
        text.narrow_.resize(header_.tokens);
      } else {
        text.wide_.resize(header_.tokens);
      }
    } catch (const std::bad_alloc&) {
      return Error(Code::kResourceExhausted,
                   fmt::format("no memory for {} bytes", header_.file_bytes));
    }
    uint64_t offset = sizeof(Header);
    uint32_t crc = 0;
    const auto read = [&](void* data, size_t size) {
      const Status status = file_->ReadAt(offset, data, size);
      if (status.ok()) crc = Crc32c(data, size, crc);
      offset += size;
      return status;
    };
    DROVER_RETURN_IF_ERROR(
        read(text.document_starts_.data(), text.document_starts_.size() * sizeof(uint64_t)));
    DROVER_RETURN_IF_ERROR(
        read(text.sentence_starts_.data(), text.sentence_starts_.size() * sizeof(uint64_t)));
    DROVER_RETURN_IF_ERROR(read(text.narrow_.data(), text.narrow_.size() * sizeof(uint16_t)));
    DROVER_RETURN_IF_ERROR(read(text.wide_.data(), text.wide_.size() * sizeof(uint32_t)));
    if (crc != header_.payload_crc) {
      return Error(Code::kDataLoss, fmt::format("the content's crc32c is {:08x}, expected {:08x}",
                                                crc, header_.payload_crc));
    }
    DROVER_RETURN_IF_ERROR(CheckContent(text));
    return text;
  }

 private:
  Status Error(Code code, const std::string& what) const {
    return Status(code, fmt::format("{}: {}", Quote(path_), what));
  }

  Status ReadHeader() {
    if (file_->size() < sizeof(Header)) {
      return Error(Code::kDataLoss,
                   fmt::format("expected a header of {} bytes, found {} (truncated)",
                               sizeof(Header), file_->size()));
    }
    DROVER_RETURN_IF_ERROR(file_->ReadAt(0, &header_, sizeof(Header)));
    if (header_.magic != kMagic) {
      return Error(Code::kInvalidArgument,
                   fmt::format("no token file: begins with {}, expected {}; make one with "
                               "\"drover data tokenize\"",
                               Quote({header_.magic.data(), header_.magic.size()}),
                               Quote({kMagic.data(), kMagic.size()})));
    }
    if (header_.format != kFormat || header_.byte_order != kByteOrder) {
      return Error(Code::kInvalidArgument,
                   fmt::format("format {} (byte order {:08x}), expected {} ({:08x}); make it anew "
                               "with this version's \"drover data tokenize\"",
                               header_.format, header_.byte_order, kFormat, kByteOrder));
    }
    if (HeaderCrc(header_) != header_.header_crc) {
      return Error(Code::kDataLoss, fmt::format("the header's crc32c is {:08x}, expected {:08x}",
                                                HeaderCrc(header_), header_.header_crc));
    }
    return CheckHeader();
  }

  // A header with a right checksum may still be forged or of a program with a fault.
  Status CheckHeader() const {
    const auto out_of_range = [this](const char* what, uint64_t value,
                                     const std::string& expected) {
      return Error(Code::kDataLoss, fmt::format("{} is {}, expected {}", what, value, expected));
    };
    if (header_.vocabulary_size <= header_.specials.size() ||
        header_.vocabulary_size > kVocabularySizeMax) {
      return out_of_range("the vocabulary's size", header_.vocabulary_size,
                          fmt::format("6 to {}", kVocabularySizeMax));
    }
    const size_t token_bytes = TokenBytes(static_cast<int32_t>(header_.vocabulary_size));
    if (header_.token_bytes != token_bytes) {
      return out_of_range("bytes per token", header_.token_bytes, std::to_string(token_bytes));
    }
    for (size_t i = 0; i < header_.specials.size(); ++i) {
      const auto end = header_.specials.begin() + static_cast<ptrdiff_t>(i);
      if (header_.specials[i] >= header_.vocabulary_size ||
          std::find(header_.specials.begin(), end, header_.specials[i]) != end) {
        return out_of_range("the id of a special token", header_.specials[i],
                            "five different ones of the vocabulary");
      }
    }
    if (header_.flags > kFlagLowercase) return out_of_range("the flags", header_.flags, "0 or 1");
    if (header_.zero != 0) return out_of_range("the field at byte 112", header_.zero, "0");
    const bool counts_fit = header_.documents >= 1 && header_.documents <= header_.sentences &&
                            header_.sentences <= header_.tokens && header_.tokens <= kCountMax;
    if (!counts_fit) {
      return Error(Code::kDataLoss,
                   fmt::format("{} documents, {} sentences, {} tokens, expected at least one "
                               "sentence in each document and one token in each sentence",
                               header_.documents, header_.sentences, header_.tokens));
    }
    const uint64_t bytes = FileBytes(header_);
    if (header_.file_bytes == bytes && file_->size() == bytes) return Status();
    return Error(Code::kDataLoss,
                 fmt::format("the header declares a file of {} bytes, found {} ({})", bytes,
                             file_->size(), file_->size() < bytes ? "truncated" : "bytes follow"));
  }

  TokenTextInfo Info() const {
    TokenTextInfo info;
    info.vocabulary_size = static_cast<int32_t>(header_.vocabulary_size);
    const auto id = [this](size_t i) { return static_cast<int32_t>(header_.specials[i]); };
    info.specials = {id(0), id(1), id(2), id(3), id(4)};
    info.lowercase = (header_.flags & kFlagLowercase) != 0;
    info.vocabulary_hash.assign(header_.vocabulary_hash.data(), header_.vocabulary_hash.size());
    return info;
  }

  Status CheckContent(const TokenText& text) const {
    const auto spans = [](std::span<const uint64_t> starts, uint64_t end) {
      return starts.front() == 0 && starts.back() == end && StrictlyRising(starts);
    };
    if (!spans(text.document_starts(), text.sentences()) ||
        !spans(text.sentence_starts(), header_.tokens)) {
      return Error(
          Code::kDataLoss,
          "documents and sentences do not follow each other, expected rising starts from 0");
    }
    std::vector<bool> allowed(header_.vocabulary_size, true);
    for (const uint32_t id : header_.specials) allowed[id] = id == header_.specials[1];
    const auto is_bad = [&](uint32_t id) { return id >= allowed.size() || !allowed[id]; };
    const bool bad = std::any_of(text.narrow_.begin(), text.narrow_.end(), is_bad) ||
                     std::any_of(text.wide_.begin(), text.wide_.end(), is_bad);
    if (!bad) return Status();
    return Error(Code::kDataLoss,
                 fmt::format("a token outside the vocabulary of {} or a special one "
                             "other than [UNK]",
                             header_.vocabulary_size));
  }

  FileSystem& fs_;
  const std::string path_;
  std::unique_ptr<ReadableFile> file_;
  Header header_;
};

class TokenFileWriter {
 public:
  static Status Write(FileSystem& fs, const std::string& path, const TokenText& text) {
    DROVER_CHECK(text.documents() > 0 && text.document_starts().back() == text.sentences());
    DROVER_CHECK(text.info().vocabulary_hash.size() == 32);
    Header header;
    header.token_bytes = static_cast<uint32_t>(TokenBytes(text.info().vocabulary_size));
    header.vocabulary_size = static_cast<uint32_t>(text.info().vocabulary_size);
    const std::array<int32_t, 5> ids = text.info().specials.Ids();
    std::transform(ids.begin(), ids.end(), header.specials.begin(),
                   [](int32_t id) { return static_cast<uint32_t>(id); });
    header.flags = text.info().lowercase ? kFlagLowercase : 0;
    header.documents = text.documents();
    header.sentences = text.sentences();
    header.tokens = text.tokens();
    std::copy_n(text.info().vocabulary_hash.data(), 32, header.vocabulary_hash.data());
    header.file_bytes = FileBytes(header);
    const std::array<Part, 5> parts = {
        Part{&header, sizeof(header)},
        Part{text.document_starts().data(), text.document_starts().size_bytes()},
        Part{text.sentence_starts().data(), text.sentence_starts().size_bytes()},
        Part{text.narrow_.data(), text.narrow_.size() * sizeof(uint16_t)},
        Part{text.wide_.data(), text.wide_.size() * sizeof(uint32_t)}};
    for (size_t i = 1; i < parts.size(); ++i) {
      header.payload_crc = Crc32c(parts[i].data, parts[i].size, header.payload_crc);
    }
    header.header_crc = HeaderCrc(header);
    return WriteParts(fs, path, parts);
  }
};

Status WriteTokenFile(FileSystem& fs, const std::string& path, const TokenText& text) {
  return TokenFileWriter::Write(fs, path, text);
}

Result<TokenText> ReadTokenFile(FileSystem& fs, const std::string& path) {
  return TokenFileReader(fs, path).Read();
}

Status WriteWhole(FileSystem& fs, const std::string& path, const std::string& bytes) {
  const Part part = {bytes.data(), bytes.size()};
  return WriteParts(fs, path, std::span(&part, 1));
}

}  // namespace drover
