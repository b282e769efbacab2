#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/cli/doctor_judges.h"
#include "server/cli/format.h"

namespace drover {
namespace {

constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kRenewDays = 14;

}  // namespace

// ---- What this call shows of itself.

Verdict JudgeTlsFiles(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!mine.tls) return std::nullopt;
  if (!mine.missing.empty()) return Fail(mine.missing);
  if (!mine.unreadable.empty()) return Fail(mine.unreadable);
  return Ok("all readable");
}

// Whether there is a certificate to be judged.
namespace {

bool HasCertificate(const CredentialFacts& mine) {
  return mine.tls && !mine.certificate.empty() && mine.not_after_unix_s != 0;
}

}  // namespace

Verdict JudgeExpiry(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  const int64_t now = facts.machine.now_unix_s;
  if (mine.authority_not_after_unix_s != 0 && now >= mine.authority_not_after_unix_s) {
    return Fail("the authority's ran out on " + FormatTime(mine.authority_not_after_unix_s * 1000));
  }
  if (!HasCertificate(mine)) return std::nullopt;
  const int64_t left = mine.not_after_unix_s - now;
  const std::string date = FormatTime(mine.not_after_unix_s * 1000);
  if (left <= 0) return Fail("ran out on " + date);
  return left < kRenewDays * kDaySeconds ? Warn("runs out on " + date) : Ok("good until " + date);
}

Verdict JudgeNotYet(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!HasCertificate(mine) || facts.machine.now_unix_s >= mine.not_before_unix_s) {
    return std::nullopt;
  }
  return Fail("good only from " + FormatTime(mine.not_before_unix_s * 1000));
}

Verdict JudgeAuthority(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!HasCertificate(mine)) return std::nullopt;
  if (!mine.authority_problem.empty()) return Fail(mine.authority_problem);
  if (!mine.identity_problem.empty()) return Fail(mine.identity_problem);
  return Ok("signed for " + mine.identity);
}

Verdict JudgeKey(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!HasCertificate(mine)) return std::nullopt;
  return mine.key_problem.empty() ? Ok("fits the certificate") : Fail(mine.key_problem);
}

Verdict JudgeKeyMode(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!HasCertificate(mine) || mine.key_mode_problem.empty()) return std::nullopt;
  return Fail(mine.key_mode_problem);
}

Verdict JudgeToken(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (mine.token_file.empty()) return std::nullopt;
  return mine.token_problem.empty() ? Ok(mine.token_file) : Fail(mine.token_problem);
}

// ---- The coordinator.

Verdict JudgeReach(const DoctorFacts& facts) {
  if (!facts.server.has_value()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  switch (server.speech) {
    case PeerSpeech::kUnresolved:
      return Fail(fmt::format("{}: no such name ({})", server.address, server.detail));
    case PeerSpeech::kRefused:
      if (!server.asked_for) return Ok("none at " + server.address);
      return Fail("nobody listens on " + server.address);
    case PeerSpeech::kUnreachable:
      return Fail(fmt::format("{} does not answer ({})", server.address, server.detail),
                  "a firewall, a wrong address, or a machine that is down");
    case PeerSpeech::kNothing:
    case PeerSpeech::kHttp1:
    case PeerSpeech::kPlainGrpc:
    case PeerSpeech::kTls:
    case PeerSpeech::kOther:
      return Ok(server.address + " takes connections");
  }
  return std::nullopt;
}

namespace {

bool TakesConnections(const ServerFacts& server) {
  return server.speech != PeerSpeech::kUnresolved && server.speech != PeerSpeech::kRefused &&
         server.speech != PeerSpeech::kUnreachable;
}

}  // namespace

Verdict JudgePort(const DoctorFacts& facts) {
  if (!facts.server.has_value() || !TakesConnections(*facts.server)) return std::nullopt;
  const ServerFacts& server = *facts.server;
  if (server.speech == PeerSpeech::kHttp1) return Fail(server.address + " speaks HTTP/1");
  if (server.speech == PeerSpeech::kOther) return Fail(server.address + " speaks something else");
  if (server.speech == PeerSpeech::kNothing) {
    return Fail(server.address + " takes connections and says nothing");
  }
  return Ok(server.speech == PeerSpeech::kTls ? "TLS" : "gRPC in plain text");
}

Verdict JudgeTlsMatch(const DoctorFacts& facts) {
  if (!facts.server.has_value()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const bool tls = facts.credentials.tls;
  if (server.speech == PeerSpeech::kTls && !tls) {
    return Fail("the coordinator speaks TLS, this call plain text",
                "give --tls-ca, and --tls-cert with --tls-key or --token-file");
  }
  if (server.speech == PeerSpeech::kPlainGrpc && tls) {
    return Fail(
        "the coordinator speaks plain text, this call TLS",
        "leave out --tls-..., or start the coordinator with --tls-cert, --tls-key, --tls-ca");
  }
  return std::nullopt;
}

// Both ends speak TLS.
namespace {

bool BothTls(const DoctorFacts& facts) {
  return facts.server.has_value() && facts.server->speech == PeerSpeech::kTls &&
         facts.credentials.tls;
}

}  // namespace

Verdict JudgeServerTrust(const DoctorFacts& facts) {
  if (!BothTls(facts)) return std::nullopt;
  const ServerFacts& server = *facts.server;
  return server.untrusted.empty() ? Ok("signed by --tls-ca") : Fail(server.untrusted);
}

Verdict JudgeServerTime(const DoctorFacts& facts) {
  if (!BothTls(facts) || facts.server->not_after_unix_s == 0) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const int64_t now = facts.machine.now_unix_s;
  const std::string until = FormatTime(server.not_after_unix_s * 1000);
  if (now < server.not_before_unix_s) {
    return Fail("good only from " + FormatTime(server.not_before_unix_s * 1000),
                "set the clocks of both machines");
  }
  if (now >= server.not_after_unix_s) return Fail("ran out on " + until);
  return server.not_after_unix_s - now < kRenewDays * kDaySeconds ? Warn("runs out on " + until)
                                                                  : Ok("good until " + until);
}

Verdict JudgeServerName(const DoctorFacts& facts) {
  if (!BothTls(facts) || facts.server->names.empty()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const std::string names = fmt::format("{}", fmt::join(server.names, ", "));
  if (server.name_fits) return Ok(names);
  return Fail(fmt::format("{} is not among its names: {}", server.address, names));
}

Verdict JudgeTurnedAway(const DoctorFacts& facts) {
  if (!BothTls(facts) || !facts.server->turned_us_away) return std::nullopt;
  return Fail(facts.credentials.certificate.empty()
                  ? "it asks for a certificate, and none was given"
                  : "it does not accept --tls-cert");
}

Verdict JudgeCall(const DoctorFacts& facts) {
  if (!facts.server.has_value()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  if (server.answered) return Ok(server.address + " answers");
  if (server.call_problem.empty()) return std::nullopt;
  return Fail(server.call_problem);
}

// ---- The cluster.

namespace {

Verdict JudgeReason(const DoctorFacts& facts, const char* reason, const char* fine) {
  if (!facts.jobs.has_value() || facts.jobs->empty()) return std::nullopt;
  for (const JobFacts& job : *facts.jobs) {
    if (job.reason == reason) return Fail(job.name + ": " + job.message);
  }
  return Ok(fine);
}

}  // namespace

Verdict JudgeShards(const DoctorFacts& facts) {
  return JudgeReason(facts, "WAITING_FOR_SHARDS", "no job waits for one");
}

Verdict JudgeWorkers(const DoctorFacts& facts) {
  return JudgeReason(facts, "WAITING_FOR_WORKERS", "no job waits for one");
}

Verdict JudgeRefusedWorkers(const DoctorFacts& facts) {
  return JudgeReason(facts, "ALL_WORKERS_REFUSED", "none refused by a running job");
}

}  // namespace drover
