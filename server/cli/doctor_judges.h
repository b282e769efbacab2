// The questions behind the table of doctor_checks.cc, one function each: nothing when the facts do
// not allow it. Pure; thread-safe.

#ifndef DROVER_SERVER_CLI_DOCTOR_JUDGES_H_
#define DROVER_SERVER_CLI_DOCTOR_JUDGES_H_

#include <optional>
#include <string>
#include <utility>

#include "server/cli/doctor_checks.h"
#include "server/cli/doctor_facts.h"

namespace drover {

// Subject and, where it is empty, hint are those of the table.
using Verdict = std::optional<Finding>;

inline Verdict Ok(std::string found) { return Finding{"", Health::kOk, std::move(found), ""}; }
inline Verdict Warn(std::string found, std::string hint = "") {
  return Finding{"", Health::kWarn, std::move(found), std::move(hint)};
}
inline Verdict Fail(std::string found, std::string hint = "") {
  return Finding{"", Health::kFail, std::move(found), std::move(hint)};
}

// doctor_judges_machine.cc: the machine, its programs and folders, one job on it.
Verdict JudgeCores(const DoctorFacts& facts);
Verdict JudgeInstructions(const DoctorFacts& facts);
Verdict JudgeMemory(const DoctorFacts& facts);
Verdict JudgeFiles(const DoctorFacts& facts);
Verdict JudgeSharedMemory(const DoctorFacts& facts);
Verdict JudgeGpus(const DoctorFacts& facts);
Verdict JudgeCublas(const DoctorFacts& facts);
Verdict JudgeNccl(const DoctorFacts& facts);
Verdict JudgeLoopback(const DoctorFacts& facts);
Verdict JudgeClock(const DoctorFacts& facts);
Verdict JudgeHostName(const DoctorFacts& facts);
Verdict JudgeProxies(const DoctorFacts& facts);
Verdict JudgePrograms(const DoctorFacts& facts);
Verdict JudgeVersions(const DoctorFacts& facts);
Verdict JudgeStateDirectory(const DoctorFacts& facts);
Verdict JudgeDisk(const DoctorFacts& facts);
Verdict JudgeInMemory(const DoctorFacts& facts);
Verdict JudgeLock(const DoctorFacts& facts);
Verdict JudgePorts(const DoctorFacts& facts);
Verdict JudgeJobFile(const DoctorFacts& facts);
Verdict JudgeData(const DoctorFacts& facts);
Verdict JudgeShardMemory(const DoctorFacts& facts);
Verdict JudgeWorkerMemory(const DoctorFacts& facts);
Verdict JudgeGpuMemory(const DoctorFacts& facts);

// doctor_judges_peer.cc: what this call shows, the coordinator, its cluster.
Verdict JudgeTlsFiles(const DoctorFacts& facts);
Verdict JudgeExpiry(const DoctorFacts& facts);
Verdict JudgeNotYet(const DoctorFacts& facts);
Verdict JudgeAuthority(const DoctorFacts& facts);
Verdict JudgeKey(const DoctorFacts& facts);
Verdict JudgeKeyMode(const DoctorFacts& facts);
Verdict JudgeToken(const DoctorFacts& facts);
Verdict JudgeReach(const DoctorFacts& facts);
Verdict JudgePort(const DoctorFacts& facts);
Verdict JudgeTlsMatch(const DoctorFacts& facts);
Verdict JudgeServerTrust(const DoctorFacts& facts);
Verdict JudgeServerTime(const DoctorFacts& facts);
Verdict JudgeServerName(const DoctorFacts& facts);
Verdict JudgeTurnedAway(const DoctorFacts& facts);
Verdict JudgeCall(const DoctorFacts& facts);
Verdict JudgeShards(const DoctorFacts& facts);
Verdict JudgeWorkers(const DoctorFacts& facts);
Verdict JudgeRefusedWorkers(const DoctorFacts& facts);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_JUDGES_H_
