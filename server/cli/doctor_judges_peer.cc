#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/cli/doctor_judges.h"
#include "server/cli/format.h"

namespace drover {
namespace {

constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kRenewDays = 14;

// Whether there is a certificate to be judged.
bool HasCertificate(const CredentialFacts& mine) {
  return mine.tls && !mine.certificate.empty() && mine.not_after_unix_s != 0;
}

bool TakesConnections(const ServerFacts& server) {
  return server.found.speech != Handshake::Speech::kUnresolved &&
         server.found.speech != Handshake::Speech::kRefused &&
         server.found.speech != Handshake::Speech::kUnreachable;
}

// Both ends speak TLS.
bool BothTls(const DoctorFacts& facts) {
  return facts.server.has_value() && facts.server->found.speech == Handshake::Speech::kTls &&
         facts.credentials.tls;
}

// The first job that waits for this `reason`.
Verdict JudgeReason(const DoctorFacts& facts, const char* reason, const char* fine) {
  if (!facts.jobs.has_value() || facts.jobs->empty()) return std::nullopt;
  for (const OpenJob& job : *facts.jobs) {
    if (job.reason == reason) return Fail(job.name + ": " + job.message);
  }
  return Ok(fine);
}

}  // namespace

// ---- What this call shows of itself.

Verdict JudgeTlsFiles(const DoctorFacts& facts) {
  const CredentialFacts& mine = facts.credentials;
  if (!mine.tls) return std::nullopt;
  if (!mine.missing.empty()) return Fail(mine.missing);
  if (!mine.unreadable.empty()) return Fail(mine.unreadable);
  return Ok("all readable");
}

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
  switch (server.found.speech) {
    case Handshake::Speech::kUnresolved:
      return Fail(fmt::format("{}: no such name ({})", server.address, server.found.detail));
    case Handshake::Speech::kRefused:
      if (!server.asked_for) return Ok("none at " + server.address);
      return Fail("nobody listens on " + server.address);
    case Handshake::Speech::kUnreachable:
      return Fail(fmt::format("{} does not answer ({})", server.address, server.found.detail),
                  "a firewall, a wrong address, or a machine that is down");
    case Handshake::Speech::kNothing:
    case Handshake::Speech::kHttp1:
    case Handshake::Speech::kHttp2:
    case Handshake::Speech::kTls:
    case Handshake::Speech::kOther:
      return Ok(server.address + " takes connections");
  }
  return std::nullopt;
}

Verdict JudgePort(const DoctorFacts& facts) {
  if (!facts.server.has_value() || !TakesConnections(*facts.server)) return std::nullopt;
  const ServerFacts& server = *facts.server;
  if (server.found.speech == Handshake::Speech::kHttp1)
    return Fail(server.address + " speaks HTTP/1");
  if (server.found.speech == Handshake::Speech::kOther)
    return Fail(server.address + " speaks something else");
  if (server.found.speech == Handshake::Speech::kNothing) {
    return Fail(server.address + " takes connections and says nothing");
  }
  return Ok(server.found.speech == Handshake::Speech::kTls ? "TLS" : "gRPC in plain text");
}

Verdict JudgeTlsMatch(const DoctorFacts& facts) {
  if (!facts.server.has_value()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const bool tls = facts.credentials.tls;
  if (server.found.speech == Handshake::Speech::kTls && !tls) {
    return Fail("the coordinator speaks TLS, this call plain text",
                "give --tls-ca, and --tls-cert with --tls-key or --token-file");
  }
  if (server.found.speech == Handshake::Speech::kHttp2 && tls) {
    return Fail(
        "the coordinator speaks plain text, this call TLS",
        "leave out --tls-..., or start the coordinator with --tls-cert, --tls-key, --tls-ca");
  }
  return std::nullopt;
}

Verdict JudgeServerTrust(const DoctorFacts& facts) {
  if (!BothTls(facts)) return std::nullopt;
  const ServerFacts& server = *facts.server;
  return server.found.untrusted.empty() ? Ok("signed by --tls-ca") : Fail(server.found.untrusted);
}

Verdict JudgeServerTime(const DoctorFacts& facts) {
  if (!BothTls(facts) || facts.server->found.not_after_unix_s == 0) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const int64_t now = facts.machine.now_unix_s;
  const std::string until = FormatTime(server.found.not_after_unix_s * 1000);
  if (now < server.found.not_before_unix_s) {
    return Fail("good only from " + FormatTime(server.found.not_before_unix_s * 1000),
                "set the clocks of both machines");
  }
  if (now >= server.found.not_after_unix_s) return Fail("ran out on " + until);
  return server.found.not_after_unix_s - now < kRenewDays * kDaySeconds
             ? Warn("runs out on " + until)
             : Ok("good until " + until);
}

Verdict JudgeServerName(const DoctorFacts& facts) {
  if (!BothTls(facts) || facts.server->found.names.empty()) return std::nullopt;
  const ServerFacts& server = *facts.server;
  const std::string names = fmt::format("{}", fmt::join(server.found.names, ", "));
  if (server.found.name_fits) return Ok(names);
  return Fail(fmt::format("{} is not among its names: {}", server.address, names));
}

Verdict JudgeTurnedAway(const DoctorFacts& facts) {
  if (!BothTls(facts) || !facts.server->found.turned_away) return std::nullopt;
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
