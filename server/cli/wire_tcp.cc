#include "server/cli/wire_tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/base/crc32c.h"
#include "common/base/thread.h"
#include "common/tensor/fixed_point.h"

namespace drover {
namespace {

constexpr size_t kPieceElements = 16384;

// A connected socket; closed by its destructor.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {
    const int on = 1;
    if (fd_ >= 0) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }
  void Stop() { shutdown(fd_, SHUT_RDWR); }

  bool Send(const FrameHeader& header, ByteSpan payload) {
    std::array<std::byte, kFrameHeaderBytes> bytes;
    EncodeFrameHeader(header, bytes);
    iovec parts[2] = {{bytes.data(), bytes.size()},
                      {const_cast<std::byte*>(payload.data()), payload.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = payload.empty() ? 1 : 2;
    size_t left = bytes.size() + payload.size();
    while (left > 0) {
      const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      left -= static_cast<size_t>(sent);
      Skip(&message, static_cast<size_t>(sent));
    }
    return true;
  }

  bool Receive(void* data, size_t size) {
    auto* at = static_cast<char*>(data);
    while (size > 0) {
      const ssize_t received = recv(fd_, at, size, 0);
      if (received <= 0) return false;
      at += received;
      size -= static_cast<size_t>(received);
    }
    return true;
  }
  std::optional<FrameHeader> ReceiveHeader() {
    std::array<std::byte, kFrameHeaderBytes> bytes;
    if (!Receive(bytes.data(), bytes.size())) return std::nullopt;
    const Result<FrameHeader> header = DecodeFrameHeader(bytes);
    if (!header.ok()) return std::nullopt;
    return header.value();
  }

 private:
  static void Skip(msghdr* message, size_t bytes) {
    while (message->msg_iovlen > 0 && bytes >= message->msg_iov->iov_len) {
      bytes -= message->msg_iov->iov_len;
      ++message->msg_iov;
      --message->msg_iovlen;
    }
    if (message->msg_iovlen == 0) return;
    message->msg_iov->iov_base = static_cast<char*>(message->msg_iov->iov_base) + bytes;
    message->msg_iov->iov_len -= bytes;
  }

  int fd_;
};

// The receiver's arithmetic: the accumulator's passes without its gate, locks and slices.
struct Sums {
  explicit Sums(const WireLoad& load)
      : sums(load.elements()),
        squares(load.chunks().size(), 0.0),
        leaves(load.chunks().size(), 0),
        passes(FixedPointPassesFor(BestIsa())) {}

  bool Add(size_t index, const WireChunk& chunk, const std::vector<std::byte>& payload,
           uint32_t crc_expected) {
    const int bits = DefaultFractionBits(kWireBatch);
    const float limit = LeafLimit(kWireBatch / kWireLeaves);
    const bool first = leaves[index] == 0;
    int64_t* out = sums.data() + chunk.first;
    uint32_t crc = 0;
    for (uint64_t i = 0; i < chunk.elements; i += kPieceElements) {
      const uint64_t count = std::min<uint64_t>(kPieceElements, chunk.elements - i);
      const std::byte* in = payload.data() + i * sizeof(float);
      crc = Crc32c(in, count * sizeof(float), crc);
      if (passes.find_bad_f32(in, count, limit) >= 0) return false;
      (first ? passes.store_f32 : passes.add_f32)(in, count, FixedPointScale(bits), out + i);
    }
    if (crc != crc_expected) return false;
    if (++leaves[index] == kWireLeaves) {
      leaves[index] = 0;
      squares[index] = Mean(chunk, FixedPointMeanFactor(bits, kWireBatch));
    }
    return true;
  }

  double Mean(const WireChunk& chunk, double factor) {
    int64_t* in = sums.data() + chunk.first;
    double sum = 0.0;
    for (uint64_t i = 0; i < chunk.elements; i += kBlockElements) {
      const uint64_t count = std::min<uint64_t>(kBlockElements, chunk.elements - i);
      sum += passes.mean(in + i, count, factor, reinterpret_cast<float*>(in) + i);
    }
    return sum;
  }

  Buffer<int64_t> sums;
  std::vector<double> squares;  // By chunk.
  std::vector<uint32_t> leaves;
  const FixedPointPasses& passes;
};

// The shard's end of one connection: a thread that receives and one that sends.
class TcpServerEnd {
 public:
  TcpServerEnd(const WireLoad* load, Sums* sums, Socket socket, int channel, int channels)
      : load_(*load),
        sums_(*sums),
        socket_(std::move(socket)),
        chunks_(load->ChunksOf(channel, channels)),
        sender_("tcp-send", [this] { SendReplies(); }),
        receiver_("tcp-receive", [this] { ReceiveFrames(); }) {}
  ~TcpServerEnd() {
    socket_.Stop();
    replies_.Close();
  }

 private:
  void ReceiveFrames() {
    std::vector<std::byte> payload(kChunkElementsMax * sizeof(float));
    while (std::optional<FrameHeader> header = socket_.ReceiveHeader()) {
      if (header->type == FrameType::kGradient) {
        if (!socket_.Receive(payload.data(), header->payload_bytes)) return;
        const size_t index = header->block_begin / kChunkBlocksMax;
        const bool correct = sums_.Add(index, load_.chunks()[index], payload, header->payload_crc);
        header->type = FrameType::kAck;
        header->verdict = correct ? Verdict::kAdded : Verdict::kChecksum;
        header->payload_bytes = 0;
      }
      if (!replies_.Push(*header)) return;
    }
  }

  void SendReplies() {
    while (std::optional<FrameHeader> reply = replies_.Pop()) {
      if (reply->type == FrameType::kAck) {
        if (!socket_.Send(*reply, {})) return;
        continue;
      }
      reply->type = FrameType::kWeights;
      for (const size_t i : chunks_) {
        const ByteSpan payload = load_.weights(load_.chunks()[i]);
        reply->block_begin = load_.chunks()[i].blocks.begin;
        reply->payload_bytes = static_cast<uint32_t>(payload.size());
        reply->payload_crc = load_.weights_crc(i);
        if (!socket_.Send(*reply, payload)) return;
      }
    }
  }

  const WireLoad& load_;
  Sums& sums_;
  Socket socket_;
  const std::vector<size_t> chunks_;
  BoundedQueue<FrameHeader> replies_{1024};
  Thread sender_;
  Thread receiver_;
};

// The worker's end.
class TcpClientEnd {
 public:
  TcpClientEnd(const WireLoad* load, FloatBuffer* pulled, Socket socket, int channel, int channels)
      : load_(*load),
        pulled_(*pulled),
        socket_(std::move(socket)),
        chunks_(load->ChunksOf(channel, channels)) {}

  bool Send(WireDirection direction) {
    FrameHeader header;
    header.type = FrameType::kPull;
    for (uint32_t leaf = 0; leaf < kWireLeaves && direction != WireDirection::kPush; ++leaf) {
      if (!socket_.Send(header, {})) return false;
    }
    if (direction == WireDirection::kPull) return true;
    header.type = FrameType::kGradient;
    for (uint32_t leaf = 0; leaf < kWireLeaves; ++leaf) {
      for (const size_t i : chunks_) {
        const ByteSpan payload = load_.gradient(load_.chunks()[i]);
        header.block_begin = load_.chunks()[i].blocks.begin;
        header.payload_bytes = static_cast<uint32_t>(payload.size());
        header.payload_crc = Crc32c(payload.data(), payload.size());
        if (!socket_.Send(header, payload)) return false;
      }
    }
    return true;
  }

  bool Receive(WireDirection direction) {
    size_t left = chunks_.size() * kWireLeaves * (direction == WireDirection::kBoth ? 2 : 1);
    bool correct = true;
    for (; left > 0; --left) {
      const std::optional<FrameHeader> header = socket_.ReceiveHeader();
      if (!header.has_value()) return false;
      if (header->type == FrameType::kAck) {
        correct = correct && !IsRefusal(header->verdict);
        continue;
      }
      float* out = pulled_.data() + uint64_t{header->block_begin} * kBlockElements;
      if (!socket_.Receive(out, header->payload_bytes)) return false;
      correct = correct && Crc32c(out, header->payload_bytes) == header->payload_crc;
    }
    return correct;
  }

 private:
  const WireLoad& load_;
  FloatBuffer& pulled_;
  Socket socket_;
  const std::vector<size_t> chunks_;
};

class TcpTransport : public WireTransport {
 public:
  TcpTransport(const WireLoad* load) : load_(*load), sums_(*load), pulled_(load->elements()) {}

  Status Connect(int channels) {
    const Status unavailable(Code::kUnavailable, "bench wire: cannot connect on 127.0.0.1");
    const Socket listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    if (bind(listener.fd(), generic, size) != 0 || listen(listener.fd(), 16) != 0 ||
        getsockname(listener.fd(), generic, &size) != 0) {
      return unavailable;
    }
    for (int channel = 0; channel < channels; ++channel) {
      Socket client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (connect(client.fd(), generic, size) != 0) return unavailable;
      Socket server(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (server.fd() < 0) return unavailable;
      servers_.push_back(
          std::make_unique<TcpServerEnd>(&load_, &sums_, std::move(server), channel, channels));
      clients_.push_back(
          std::make_unique<TcpClientEnd>(&load_, &pulled_, std::move(client), channel, channels));
    }
    return Status();
  }

  Status Run(WireDirection direction) override {
    std::atomic<bool> correct = true;
    {
      std::vector<Thread> threads;
      for (const auto& client : clients_) {
        threads.emplace_back("bench-send", [&] {
          if (!client->Send(direction)) correct = false;
        });
        threads.emplace_back("bench-receive", [&] {
          if (!client->Receive(direction)) correct = false;
        });
      }
    }
    if (!correct) return Status(Code::kInternal, "bench wire: a chunk was lost or damaged");
    return Status();
  }

  double gradient_squares() const override {
    return std::accumulate(sums_.squares.begin(), sums_.squares.end(), 0.0);
  }
  std::span<const float> pulled() const override { return pulled_.span(); }

 private:
  const WireLoad& load_;
  Sums sums_;
  FloatBuffer pulled_;
  std::vector<std::unique_ptr<TcpServerEnd>> servers_;
  std::vector<std::unique_ptr<TcpClientEnd>> clients_;
};

}  // namespace

Result<std::unique_ptr<WireTransport>> MakeTcpTransport(const WireLoad* load, int channels) {
  auto transport = std::make_unique<TcpTransport>(load);
  DROVER_RETURN_IF_ERROR(transport->Connect(channels));
  return std::unique_ptr<WireTransport>(std::move(transport));
}

}  // namespace drover
