// The HTTP port of a process: /metrics for Prometheus, /livez and /readyz for an orchestrator, and
// pages that the process adds. No TLS and no authorization: bind it to loopback or to a network
// that only the scraper reaches. Only reads are served. Thread-safe.

#ifndef DROVER_COMMON_METRICS_EXPOSITION_H_
#define DROVER_COMMON_METRICS_EXPOSITION_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/metrics/registry.h"

struct mg_context;

namespace drover {

struct HttpAnswer {
  std::string status = "200 OK";
  std::string content_type;
  std::string headers;  // Further ones, each "Name: value\r\n".
  std::string body;
};

struct HttpPage {
  std::string path;  // "/" or "/api/status".
  // Answers GET and HEAD of whoever dialled an address or localhost; `query` is what stands behind
  // the "?". From any thread, several at once.
  std::function<HttpAnswer(const std::string& query)> answer;
};

class MetricsServer {
 public:
  // `address`: "IP:PORT" or "localhost:PORT"; port 0 takes a free one. `ready` is asked by /readyz,
  // from any thread: OK gives 200, an error 503 with its message. `registry` and what `ready` and
  // `pages` use outlive the server. kInvalidArgument for other addresses, kUnavailable when it
  // cannot be bound.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                      MetricRegistry& registry,
                                                      std::function<Status()> ready,
                                                      std::vector<HttpPage> pages = {});
  ~MetricsServer();  // Waits for requests in progress.
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const;

 private:
  MetricsServer(MetricRegistry& registry, std::function<Status()> ready,
                std::vector<HttpPage> pages, std::string host);

  MetricRegistry& registry_;
  const std::function<Status()> ready_;
  const std::vector<HttpPage> pages_;
  const std::string host_;  // Listening on.
  mg_context* context_ = nullptr;

  friend struct MetricsHandlers;
};

}  // namespace drover

#endif  // DROVER_COMMON_METRICS_EXPOSITION_H_
