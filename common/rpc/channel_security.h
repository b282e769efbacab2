// How a client protects what it sends, handed down from main to whoever dials. Beside channel.h,
// which is the way to this machine's own servers. Values; MakeChannel is thread-safe.

#ifndef DROVER_COMMON_RPC_CHANNEL_SECURITY_H_
#define DROVER_COMMON_RPC_CHANNEL_SECURITY_H_

#include <memory>
#include <string>

namespace grpc {
class Channel;
class ChannelCredentials;
}  // namespace grpc

namespace drover {

enum class ChannelKind;

// Made by Transport (transport.h). By default: plain text, this machine only.
struct ChannelSecurity {
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // Null: plain text.
  bool plain_text_anywhere = false;
};

// As MakeChannel of channel.h. Where `security` does not allow plain text to `address`, every call
// on the channel fails.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, ChannelKind kind,
                                           const ChannelSecurity& security);

}  // namespace drover

#endif  // DROVER_COMMON_RPC_CHANNEL_SECURITY_H_
