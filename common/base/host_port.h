// HOST:PORT taken apart. Checks nothing: CheckAddress of common/config/flags.h does. Thread-safe.

#ifndef DROVER_COMMON_BASE_HOST_PORT_H_
#define DROVER_COMMON_BASE_HOST_PORT_H_

#include <string>

namespace drover {

struct HostAndPort {
  std::string host;  // IPv6 without its brackets.
  std::string port;  // Empty when there is no colon.
};

inline HostAndPort SplitHostPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {address, ""};
  HostAndPort parts = {address.substr(0, colon), address.substr(colon + 1)};
  if (parts.host.size() >= 2 && parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  }
  return parts;
}

}  // namespace drover

#endif  // DROVER_COMMON_BASE_HOST_PORT_H_
