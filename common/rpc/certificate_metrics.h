// When the certificates of a process run out, in its metrics. Thread-safe once called.

#ifndef DROVER_COMMON_RPC_CERTIFICATE_METRICS_H_
#define DROVER_COMMON_RPC_CERTIFICATE_METRICS_H_

#include "common/metrics/registry.h"
#include "common/tls/certificate_expiry.h"

namespace drover {

// From now on the registry follows the files of `flags`; without TLS there are no series. Before
// the registry is served.
inline void ExportCertificateExpiry(const TlsFlags& flags, MetricRegistry* registry) {
  registry->OnRender([flags, registry] {
    for (const CertificateExpiry& expiry : ReadCertificateExpiry(flags)) {
      registry->GaugeOf(Metric::kTlsCertificateNotAfterTimestampSeconds, {expiry.certificate})
          .Set(static_cast<double>(expiry.not_after_unix_s));
    }
  });
}

}  // namespace drover

#endif  // DROVER_COMMON_RPC_CERTIFICATE_METRICS_H_
