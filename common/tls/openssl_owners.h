// Objects of OpenSSL that are freed with their owner. For files of this folder only: others see no
// header of OpenSSL. Not thread-safe: one owner at a time.

#ifndef DROVER_COMMON_TLS_OPENSSL_OWNERS_H_
#define DROVER_COMMON_TLS_OPENSSL_OWNERS_H_

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <memory>

namespace drover {

// Of a unique_ptr that a C function frees.
template <auto kFree>
struct Freeing {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using Bio = std::unique_ptr<BIO, Freeing<&BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freeing<&X509_free>>;

}  // namespace drover

#endif  // DROVER_COMMON_TLS_OPENSSL_OWNERS_H_
