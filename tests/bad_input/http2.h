// HTTP/2 by hand (RFC 9113, header blocks after RFC 7541 without compression): writes frames that
// no library would, and reads as much of the answers as tells how a call or connection ended.
// One thread.

#ifndef DROVER_TESTS_BAD_INPUT_HTTP2_H_
#define DROVER_TESTS_BAD_INPUT_HTTP2_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/bad_input/raw_connection.h"

namespace drover::bad_input {

inline constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum Http2Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1;
inline constexpr uint8_t kEndHeaders = 4;

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string Http2Frame(Http2Type type, uint8_t flags, uint32_t stream, const std::string& payload);
// Every field literal, never indexed.
std::string HeaderBlock(const Headers& headers);
// What a gRPC client sends before its messages; `more` comes last.
Headers GrpcHeaders(const std::string& method, const Headers& more = {});
// Flag, length, bytes. `length` may lie.
std::string GrpcMessage(const std::string& bytes, char flag = 0);
std::string GrpcPrefix(char flag, uint32_t length);
// Four bytes, the highest first.
std::string BigEndian(uint32_t value);

// How the server ended a stream, or all of them.
struct Ending {
  enum Kind { kStatus, kReset, kGoAway, kClosed, kNothing } kind = kNothing;
  int code = -1;  // grpc-status, or the error code of HTTP/2.
};

class Http2Client {
 public:
  explicit Http2Client(RawConnection connection) : connection_(std::move(connection)) {}

  // Preface and settings; whether the server answers with its own.
  bool Start(const std::string& settings = "");
  bool Send(const std::string& bytes);
  // Reads until `stream` (0: any) or the connection is over, or the time is up.
  Ending Await(uint32_t stream, Duration timeout);
  // Headers of one call and its bytes, on the next stream; how it ended.
  Ending Call(const Headers& headers, const std::string& body, Duration timeout);
  RawConnection& connection() { return connection_; }

 private:
  // One whole frame from what has come. False when more must be read.
  bool NextFrame(uint8_t* type, uint8_t* flags, uint32_t* stream, std::string* payload);

  RawConnection connection_;
  std::string received_;
  uint32_t next_stream_ = 1;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_HTTP2_H_
