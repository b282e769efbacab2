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

PeerSpeech SpeechOf(Handshake::Speech speech) {
  switch (speech) {
    case Handshake::Speech::kNothing:
      return PeerSpeech::kNothing;
    case Handshake::Speech::kUnresolved:
      return PeerSpeech::kUnresolved;
    case Handshake::Speech::kRefused:
      return PeerSpeech::kRefused;
    case Handshake::Speech::kUnreachable:
      return PeerSpeech::kUnreachable;
    case Handshake::Speech::kHttp1:
      return PeerSpeech::kHttp1;
    case Handshake::Speech::kHttp2:
      return PeerSpeech::kPlainGrpc;
    case Handshake::Speech::kTls:
      return PeerSpeech::kTls;
    case Handshake::Speech::kOther:
      return PeerSpeech::kOther;
  }
  return PeerSpeech::kOther;
}

std::vector<JobFacts> FactsOf(const std::vector<v1::Job>& jobs) {
  std::vector<JobFacts> facts;
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
  Handshake found = ProbeServer(global.server, options.tls, static_cast<int>(patience.count()));
  server.speech = SpeechOf(found.speech);
  server.detail = std::move(found.detail);
  server.untrusted = std::move(found.untrusted);
  server.name_fits = found.name_fits;
  server.names = std::move(found.names);
  server.not_before_unix_s = found.not_before_unix_s;
  server.not_after_unix_s = found.not_after_unix_s;
  server.turned_us_away = found.turned_away;
  const bool may_answer =
      options.can_call &&
      server.speech == (options.tls.tls() ? PeerSpeech::kTls : PeerSpeech::kPlainGrpc);
  if (!may_answer || server.turned_us_away) return;
  JobClient client(global.server, global.timeout, global.security);
  const Result<std::vector<v1::Job>> jobs = client.List();
  server.answered = jobs.ok();
  if (jobs.ok()) {
    facts->jobs = FactsOf(jobs.value());
  } else {
    server.call_problem = jobs.status().message();
  }
}

}  // namespace drover
