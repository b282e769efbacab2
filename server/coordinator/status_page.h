// The status page of the coordinator: GET / is one HTML file without anything beside it, GET
// /api/status?job=ID the JSON that it asks for every 2 s. Reads only; knows no HTTP library.
// Thread-safe.

#ifndef DROVER_SERVER_COORDINATOR_STATUS_PAGE_H_
#define DROVER_SERVER_COORDINATOR_STATUS_PAGE_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/thread_annotations.h"
#include "common/metrics/exposition.h"
#include "server/coordinator/status_facts.h"

namespace drover {

// status_page.html, compiled in.
extern const std::string_view kStatusPageHtml;

class StatusPage {
 public:
  // However many browsers ask, the facts of a job are gathered this often.
  static constexpr std::chrono::milliseconds kKeep{500};
  static constexpr size_t kKeptMax = 8;  // Answers.

  // The facts with this job selected; any job, or none, when the text is empty or means no job.
  // Called from any thread, takes up to seconds.
  using Gather = std::function<Result<StatusFacts>(const std::string& job)>;

  // The clock and what `gather` uses outlive this.
  StatusPage(Gather gather, const Clock* clock);

  // "/" and "/api/status"; this outlives who serves them.
  std::vector<HttpPage> Pages();

 private:
  struct Kept {
    Instant until;
    std::string body;
  };

  HttpAnswer Html() const;
  HttpAnswer Json(const std::string& query) DROVER_EXCLUDES(mutex_);

  const Gather gather_;
  const Clock* const clock_;
  const std::string html_headers_;
  Mutex mutex_;
  std::map<std::string, Kept> kept_ DROVER_GUARDED_BY(mutex_);  // By job asked for.
};

// The value of `job` in "a=b&job=VALUE": letters, digits, "-" and "_", at most 64; anything else
// is an empty text, for no job is named like that.
std::string JobInQuery(std::string_view query);

// A Content-Security-Policy that lets exactly the page's own <script> and <style> run, and lets
// them talk to nobody but who sent them.
std::string ContentSecurityPolicy(std::string_view html);

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_STATUS_PAGE_H_
