#include "tests/bad_input/http2.h"

#include <cstring>

namespace drover::bad_input {
namespace {

constexpr size_t kFrameHead = 9;
constexpr size_t kFrameBytesMax = 16'384;  // Unless settings say otherwise.
constexpr Duration kWritePatience = std::chrono::seconds(10);

uint32_t ReadBigEndian(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Length with a prefix of 7 bits (RFC 7541, 5.1), no Huffman code.
std::string HpackText(const std::string& text) {
  std::string out;
  size_t rest = text.size();
  if (rest < 127) return std::string(1, static_cast<char>(rest)) + text;
  out += '\x7f';
  rest -= 127;
  for (; rest >= 128; rest >>= 7) out += static_cast<char>((rest & 0x7f) | 0x80);
  out += static_cast<char>(rest);
  return out + text;
}

// The first grpc-status of a connection comes with its name; later ones may be an index.
int GrpcStatusIn(const std::string& block) {
  constexpr char kName[] = "grpc-status";
  const size_t at = block.find(kName);
  if (at == std::string::npos) return -1;
  const size_t value = at + strlen(kName);
  if (value >= block.size()) return -1;
  const size_t size = static_cast<unsigned char>(block[value]);
  int code = 0;
  for (size_t i = 1; i <= size && value + i < block.size(); ++i) {
    const char digit = block[value + i];
    if (digit < '0' || digit > '9') return -1;
    code = code * 10 + (digit - '0');
  }
  return code;
}

}  // namespace

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string Http2Frame(Http2Type type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame = BigEndian(static_cast<uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  return frame + BigEndian(stream) + payload;
}

std::string HeaderBlock(const Headers& headers) {
  std::string block;
  for (const auto& [name, value] : headers) {
    block += '\x10';  // Literal, never indexed, new name.
    block += HpackText(name) + HpackText(value);
  }
  return block;
}

Headers GrpcHeaders(const std::string& method, const Headers& more) {
  Headers headers = {{":method", "POST"}, {":scheme", "https"},
                     {":path", method},   {":authority", "localhost"},
                     {"te", "trailers"},  {"content-type", "application/grpc"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

std::string GrpcPrefix(char flag, uint32_t length) {
  return std::string(1, flag) + BigEndian(length);
}

std::string GrpcMessage(const std::string& bytes, char flag) {
  return GrpcPrefix(flag, static_cast<uint32_t>(bytes.size())) + bytes;
}

bool Http2Client::Start(const std::string& settings) {
  if (!Send(kPreface + Http2Frame(kSettings, 0, 0, settings))) return false;
  const std::string first = connection_.Read(kWritePatience);
  received_ += first;
  return first.size() >= kFrameHead && first[3] == kSettings;
}

bool Http2Client::Send(const std::string& bytes) {
  return connection_.Write(bytes, kWritePatience);
}

bool Http2Client::NextFrame(uint8_t* type, uint8_t* flags, uint32_t* stream, std::string* payload) {
  if (received_.size() < kFrameHead) return false;
  const size_t size = ReadBigEndian(received_.data()) >> 8;
  if (received_.size() < kFrameHead + size) return false;
  *type = static_cast<uint8_t>(received_[3]);
  *flags = static_cast<uint8_t>(received_[4]);
  *stream = ReadBigEndian(received_.data() + 5) & 0x7fffffff;
  *payload = received_.substr(kFrameHead, size);
  received_.erase(0, kFrameHead + size);
  return true;
}

Ending Http2Client::Await(uint32_t stream, Duration timeout) {
  const Instant deadline = Clock::Real().Now() + timeout;
  for (;;) {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t id = 0;
    std::string payload;
    while (NextFrame(&type, &flags, &id, &payload)) {
      const bool mine = stream == 0 || id == stream;
      if (type == kGoAway && payload.size() >= 8) {
        return {Ending::kGoAway, static_cast<int>(ReadBigEndian(payload.data() + 4))};
      }
      if (type == kResetStream && mine && payload.size() == 4) {
        return {Ending::kReset, static_cast<int>(ReadBigEndian(payload.data()))};
      }
      if (type == kHeaders && mine && (flags & kEndStream) != 0) {
        return {Ending::kStatus, GrpcStatusIn(payload)};
      }
    }
    const Duration left = deadline - Clock::Real().Now();
    if (connection_.closed()) return {Ending::kClosed, -1};
    if (left.count() <= 0) return {Ending::kNothing, -1};
    received_ += connection_.Read(left);
  }
}

Ending Http2Client::Call(const Headers& headers, const std::string& body, Duration timeout) {
  const uint32_t stream = next_stream_;
  next_stream_ += 2;
  std::string bytes = Http2Frame(kHeaders, kEndHeaders, stream, HeaderBlock(headers));
  for (size_t begin = 0; begin == 0 || begin < body.size(); begin += kFrameBytesMax) {
    const bool last = begin + kFrameBytesMax >= body.size();
    bytes += Http2Frame(kData, last ? kEndStream : 0, stream, body.substr(begin, kFrameBytesMax));
  }
  Send(bytes);
  return Await(stream, timeout);
}

}  // namespace drover::bad_input
