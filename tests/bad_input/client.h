// A gRPC client that sends any bytes to any method, with any certificate: gRPC's own client where a
// case is about messages and not about HTTP/2. Includes no header of gRPC, so that files with cases
// compile quickly. A client is thread-safe; a stream has one reader and one writer.

#ifndef DROVER_TESTS_BAD_INPUT_CLIENT_H_
#define DROVER_TESTS_BAD_INPUT_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/tls/certificate.h"

namespace drover::bad_input {

inline constexpr Duration kPatience = std::chrono::seconds(30);

inline constexpr char kCreateJob[] = "/drover.v1.JobService/CreateJob";
inline constexpr char kGetJob[] = "/drover.v1.JobService/GetJob";
inline constexpr char kListJobs[] = "/drover.v1.JobService/ListJobs";
inline constexpr char kWatchJob[] = "/drover.v1.JobService/WatchJob";
inline constexpr char kCancelJob[] = "/drover.v1.JobService/CancelJob";
inline constexpr char kWorkerSession[] = "/drover.v1.WorkerService/Session";
inline constexpr char kShardSession[] = "/drover.v1.ShardService/Session";
inline constexpr char kExchange[] = "/drover.v1.TensorService/Exchange";

using Metadata = std::vector<std::pair<std::string, std::string>>;

struct Answer {
  Status status;
  std::string bytes;
};

// One call with any number of messages in both directions.
class Stream {
 public:
  virtual ~Stream() = default;  // Cancels what was not finished.
  // False when the call is over.
  virtual bool Write(const std::string& message) = 0;
  // Nothing when the call is over.
  virtual std::optional<std::string> Read() = 0;
  virtual void WritesDone() = 0;
  virtual void Cancel() = 0;
  // Reads what is left, then why the call ended. Once.
  virtual Status Finish() = 0;
};

class Client {
 public:
  // Dials localhost:`port`, when it is first used. `pair`: empty for none.
  Client(int port, const std::string& authority, const KeyPair& pair);
  ~Client();
  Client(Client&&) noexcept;

  // `metadata` goes along as it is.
  Answer Call(const std::string& method, const std::string& request, const Metadata& metadata = {},
              Duration deadline = kPatience) const;
  std::unique_ptr<Stream> Open(const std::string& method, const Metadata& metadata = {},
                               Duration deadline = kPatience) const;

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace drover::bad_input

#endif  // DROVER_TESTS_BAD_INPUT_CLIENT_H_
