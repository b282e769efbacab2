// A TCP connection to this machine, with or without TLS, that sends any bytes: for cases below
// gRPC. Nothing here blocks for longer than it is told. One thread.

#ifndef DROVER_TESTS_BAD_INPUT_RAW_CONNECTION_H_
#define DROVER_TESTS_BAD_INPUT_RAW_CONNECTION_H_

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/tls/certificate.h"

namespace drover::bad_input {

struct TlsChoice {
  KeyPair pair;              // Empty: no certificate.
  int version_max = 0;       // As OpenSSL numbers them; 0: any.
  const char* ciphers = "";  // Of TLS 1.2 and before; "": the library's.
};

class RawConnection {
 public:
  explicit RawConnection(int port);
  ~RawConnection();
  RawConnection(RawConnection&&) noexcept;

  // Whether the client's side of the handshake came to its end. With TLS 1.3 the server may still
  // refuse the certificate: then the first Read says so.
  bool Handshake(const TlsChoice& choice, Duration timeout);
  // Asks for new keys and sees whether the server follows. TLS 1.2.
  bool Renegotiate();

  // False when the server has closed, or takes nothing for `timeout`.
  bool Write(const std::string& bytes, Duration timeout);
  // What has come, at least a byte; empty when nothing came in time or the connection is over.
  std::string Read(Duration timeout);
  // Reads and forgets until the connection is over; false when it is not within `timeout`.
  bool AwaitClose(Duration timeout);
  bool closed() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_RAW_CONNECTION_H_
