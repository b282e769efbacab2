#include "common/metrics/exposition.h"

#include <civetweb.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

#include "common/base/mutex.h"
#include "common/base/parse.h"
#include "common/base/quote.h"
#include "common/base/thread.h"

namespace drover {
namespace {

void Respond(mg_connection* connection, std::string_view status, std::string_view content_type,
             const std::string& body, std::string_view headers = "") {
  const std::string_view method = mg_get_request_info(connection)->request_method;
  const bool with_body = method != "HEAD";
  const std::string head = fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n{}\r\n",
      status, content_type, body.size(), headers);
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, body.data(), body.size());
}

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

// True when the request was answered: only reads are served.
bool RefuseWrites(mg_connection* connection) {
  const std::string_view method = mg_get_request_info(connection)->request_method;
  if (method == "GET" || method == "HEAD") return false;
  Respond(connection, "405 Method Not Allowed", kPlain, "only GET and HEAD\n");
  return true;
}

// A site in a user's browser may give its own name the address 127.0.0.1 and then read what a
// server there says, as its own. Such requests name that site; those for loopback name it or an
// address.
bool NamesAnotherHost(mg_connection* connection, const std::string& listening_on) {
  if (!listening_on.starts_with("127.") && listening_on != "::1") return false;
  const char* header = mg_get_header(connection, "Host");
  const std::string_view asked = header == nullptr ? "" : header;
  const std::string_view host = asked.substr(0, asked.find(':'));
  return host != "localhost" && host.find_first_not_of("0123456789.") != host.npos &&
         !asked.starts_with("[");
}

struct HostPort {
  std::string host;  // IPv6 in brackets.
  int64_t port = 0;
};

// civetweb's own syntax for ports knows lists, options and redirects: let nothing through but an
// address and a number.
Result<HostPort> ParseAddress(const std::string& address) {
  const Status bad(
      Code::kInvalidArgument,
      fmt::format("metrics address {}: expected IP:PORT, as in 127.0.0.1:9464", Quote(address)));
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad;
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != port.npos) {
    return bad;
  }
  const Result<int64_t> number = ParseInt(port);
  if (!number.ok() || number.value() > 65535) return bad;
  if (host == "localhost") host = "127.0.0.1";
  if (host.find_first_not_of("0123456789abcdefABCDEF.:[]") != host.npos) return bad;
  return HostPort{host, number.value()};
}

// Connects and hangs up; whether it succeeds does not matter.
void Knock(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* address = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &address) != 0) return;
  const int connection = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection >= 0) {
    (void)connect(connection, address->ai_addr, address->ai_addrlen);
    close(connection);
  }
  freeaddrinfo(address);
}

}  // namespace

// civetweb calls these with the server as user data, from its own threads.
struct MetricsHandlers {
  static int Metrics(mg_connection* connection, void* server) {
    if (RefuseWrites(connection)) return 405;
    Respond(connection, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
            static_cast<MetricsServer*>(server)->registry_.Render());
    return 200;
  }
  static int Live(mg_connection* connection, void* /*server*/) {
    if (RefuseWrites(connection)) return 405;
    Respond(connection, "200 OK", kPlain, "ok\n");
    return 200;
  }
  static int Ready(mg_connection* connection, void* server) {
    if (RefuseWrites(connection)) return 405;
    const Status status = static_cast<MetricsServer*>(server)->ready_();
    if (status.ok()) {
      Respond(connection, "200 OK", kPlain, "ok\n");
      return 200;
    }
    Respond(connection, "503 Service Unavailable", kPlain, status.message() + "\n");
    return 503;
  }
  static int Page(mg_connection* connection, void* server) {
    if (RefuseWrites(connection)) return 405;
    const MetricsServer& self = *static_cast<MetricsServer*>(server);
    if (NamesAnotherHost(connection, self.host_)) {
      Respond(connection, "421 Misdirected Request", kPlain, "ask localhost or 127.0.0.1\n");
      return 421;
    }
    const mg_request_info* request = mg_get_request_info(connection);
    const auto page =
        std::find_if(self.pages_.begin(), self.pages_.end(),
                     [&](const HttpPage& one) { return one.path == request->local_uri; });
    if (page == self.pages_.end()) return Unknown(connection, server);
    const HttpAnswer answer =
        page->answer(request->query_string == nullptr ? "" : request->query_string);
    Respond(connection, answer.status, answer.content_type, answer.body, answer.headers);
    return 200;
  }
  static int Unknown(mg_connection* connection, void* /*server*/) {
    Respond(connection, "404 Not Found", kPlain, "try /metrics, /livez or /readyz\n");
    return 404;
  }
};

MetricsServer::MetricsServer(MetricRegistry& registry, std::function<Status()> ready,
                             std::vector<HttpPage> pages, std::string host)
    : registry_(registry),
      ready_(std::move(ready)),
      pages_(std::move(pages)),
      host_(std::move(host)) {}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                            MetricRegistry& registry,
                                                            std::function<Status()> ready,
                                                            std::vector<HttpPage> pages) {
  const Result<HostPort> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();
  std::string host = parsed.value().host;
  const std::string listening = fmt::format("{}:{}", host, parsed.value().port);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  // Browsers open connections ahead of need, which must not keep the scraper out.
  const char* const threads = pages.empty() ? "3" : "8";
  std::unique_ptr<MetricsServer> server(
      new MetricsServer(registry, std::move(ready), std::move(pages), host));
  const char* options[] = {"listening_ports",
                           listening.c_str(),
                           "num_threads",
                           threads,
                           "request_timeout_ms",
                           "5000",
                           "max_request_size",
                           "8192",
                           "enable_keep_alive",
                           "no",
                           nullptr};
  std::array<char, 256> text = {};
  mg_error_data error = {nullptr, text.data(), text.size()};
  mg_init_data init = {/*callbacks=*/nullptr, /*user_data=*/nullptr, options};
  server->context_ = mg_start2(&init, &error);
  if (server->context_ == nullptr) {
    return Status(Code::kUnavailable,
                  fmt::format("cannot serve metrics on {}: {}: is the port taken?", Quote(address),
                              Quote(text.data())));
  }
  // The most special pattern wins; "/**" is everything else.
  mg_set_request_handler(server->context_, "/metrics$", MetricsHandlers::Metrics, server.get());
  mg_set_request_handler(server->context_, "/livez$", MetricsHandlers::Live, server.get());
  mg_set_request_handler(server->context_, "/readyz$", MetricsHandlers::Ready, server.get());
  for (const HttpPage& page : server->pages_) {
    mg_set_request_handler(server->context_, (page.path + "$").c_str(), MetricsHandlers::Page,
                           server.get());
  }
  mg_set_request_handler(server->context_, "/**", MetricsHandlers::Unknown, server.get());
  return server;
}

// civetweb looks at its stop flag only every 2 s, unless somebody connects.
MetricsServer::~MetricsServer() {
  if (context_ == nullptr) return;
  const int listening_port = port();
  Mutex mutex;
  CondVar changed;
  bool stopped = false;
  const Thread stopper("metrics-stop", [&] {
    mg_stop(context_);
    MutexLock lock(&mutex);
    stopped = true;
    changed.NotifyAll();
  });
  MutexLock lock(&mutex);
  while (!stopped) {
    Knock(host_, listening_port);
    changed.WaitFor(&mutex, std::chrono::milliseconds(5));
  }
}

int MetricsServer::port() const {
  mg_server_port port = {};
  return mg_get_server_ports(context_, 1, &port) == 1 ? port.port : 0;
}

}  // namespace drover
