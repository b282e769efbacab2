// An authority and certificates of all kinds, good and bad, for one run of the program. Thread-safe
// after construction.

#ifndef DROVER_TESTS_BAD_INPUT_PKI_H_
#define DROVER_TESTS_BAD_INPUT_PKI_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/tls/certificate.h"
#include "common/tls/identity.h"
#include "common/tls/tls_flags.h"

namespace drover::bad_input {

class Pki {
 public:
  // Writes files of servers into `folder`.
  explicit Pki(const std::string& folder);

  const std::string& authority() const { return authority_.certificate; }

  // Of a client.
  KeyPair Issue(const Identity& identity) const;
  // Valid for a day from `offset_s` seconds after now.
  KeyPair IssueAt(const Identity& identity, int64_t offset_s) const;
  // With these URIs, or none, as alternative names.
  KeyPair IssueWithUris(const std::vector<std::string>& uris) const;
  // Of an authority that nobody here knows.
  KeyPair IssueForeign(const Identity& identity) const;

  // Files of a server on "localhost".
  TlsFlags ServerFiles(const Identity& identity) const;

 private:
  const std::string folder_;
  const int64_t now_unix_s_;
  const KeyPair authority_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_PKI_H_
