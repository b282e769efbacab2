#include "server/cli/doctor_server.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/job_client.h"
#include "common/tls/handshake.h"
#include "server/cli/format.h"

namespace drover {
namespace {

constexpr std::chrono::milliseconds kProbeTimeoutMax{2000};

std::vector<OpenJob> OpenOf(const std::vector<v1::Job>& jobs) {
  std::vector<OpenJob> facts;
  for (const v1::Job& job : jobs) {
    if (HasEnded(job.state())) continue;
    facts.push_back({job.spec().name(), StateName(job.state()), job.reason(), job.message(),
                     job.create_time_unix_ms() / 1000});
  }
  return facts;
}

}  // namespace

void GatherServer(const GlobalOptions& global, const DoctorOptions& options, DoctorFacts* facts) {
  ServerFacts& server = facts->server.emplace();
  server.address = global.server;
  server.asked_for = options.server_given;
  const auto patience = std::min(global.timeout, kProbeTimeoutMax);
  server.found = ProbeServer(global.server, options.tls, static_cast<int>(patience.count()));
  const auto speech = options.tls.tls() ? Handshake::Speech::kTls : Handshake::Speech::kHttp2;
  if (!options.can_call || server.found.speech != speech || server.found.turned_away) return;
  JobClient client(global.server, global.timeout, global.security);
  const Result<std::vector<v1::Job>> jobs = client.List();
  server.answered = jobs.ok();
  if (jobs.ok()) {
    facts->jobs = OpenOf(jobs.value());
  } else {
    server.call_problem = jobs.status().message();
  }
}

}  // namespace drover
