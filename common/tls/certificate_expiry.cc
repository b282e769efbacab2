#include "common/tls/certificate_expiry.h"

#include <string>

#include "common/base/file_system.h"
#include "common/tls/certificate.h"

namespace drover {
namespace {

void AddExpiry(const char* certificate, const std::string& path,
               std::vector<CertificateExpiry>* all) {
  if (path.empty()) return;
  const Result<std::string> text = FileSystem::Real().ReadUserFile(path, kPemFileBytesMax);
  if (!text.ok()) return;
  const Result<CertificateFacts> facts = ReadCertificate(text.value());
  if (facts.ok()) all->push_back({certificate, facts.value().not_after_unix_s});
}

}  // namespace

std::vector<CertificateExpiry> ReadCertificateExpiry(const TlsFlags& flags) {
  std::vector<CertificateExpiry> all;
  AddExpiry("own", flags.certificate, &all);
  AddExpiry("authority", flags.authority, &all);
  return all;
}

}  // namespace drover
