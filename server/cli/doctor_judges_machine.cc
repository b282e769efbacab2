#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "server/cli/doctor_judges.h"
#include "server/cli/format.h"

namespace drover {
namespace {

constexpr int64_t kGibi = int64_t{1} << 30;
constexpr int64_t kMemoryLow = 2 * kGibi;
constexpr int64_t kDiskLow = 2 * kGibi;
constexpr int64_t kDiskEmpty = kGibi / 4;
constexpr int64_t kSharedMemoryLow = kGibi;
constexpr uint64_t kFilesLow = 1024;
constexpr int64_t kSkewSeconds = 5;
constexpr int64_t kYear2026 = 1767225600;  // date -u -d 2026-01-01 +%s

bool IsLoopbackAddress(const std::string& address) {
  return address.starts_with("127.") || address == "::1";
}

}  // namespace

// ---- The machine.

Verdict JudgeCores(const DoctorFacts& facts) {
  if (facts.machine.cores <= 0) return std::nullopt;
  return Ok(fmt::format("{} usable by this process", facts.machine.cores));
}

Verdict JudgeInstructions(const DoctorFacts& facts) {
  const std::string& sets = facts.machine.instruction_sets;
  return facts.machine.has_avx2 ? Ok(sets) : Warn(sets + " only");
}

Verdict JudgeMemory(const DoctorFacts& facts) {
  const int64_t bytes = facts.machine.memory_available_bytes;
  if (bytes < 0) return Warn("unknown", "/proc is not mounted");
  const std::string found = FormatBytes(bytes) + " available";
  return bytes >= kMemoryLow ? Ok(found) : Warn(found);
}

Verdict JudgeFiles(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.files_hard == 0) return std::nullopt;
  const std::string found = fmt::format("{} (up to {})", machine.files_soft, machine.files_hard);
  return machine.files_soft >= kFilesLow ? Ok(found) : Warn(found);
}

Verdict JudgeSharedMemory(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.gpus < 2) return std::nullopt;
  if (machine.shared_memory_bytes < 0) return Warn("/dev/shm is not there");
  const std::string found = fmt::format("{} in /dev/shm, {} GPUs",
                                        FormatBytes(machine.shared_memory_bytes), machine.gpus);
  return machine.shared_memory_bytes >= kSharedMemoryLow ? Ok(found) : Warn(found);
}

Verdict JudgeGpus(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.gpus > 0) return Ok(machine.gpu_text);
  if (!machine.has_gpu_file) return Ok("none; workers use the CPU");
  return Warn("there is one, but Drover cannot use it", machine.gpu_text);
}

Verdict JudgeCublas(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.gpus == 0) return std::nullopt;
  if (machine.has_cublas) return Ok(machine.cublas_text);
  return Warn("cannot be used; workers would use the CPU", machine.cublas_text);
}

Verdict JudgeNccl(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.gpus == 0) return std::nullopt;
  if (machine.has_nccl) return Ok(machine.nccl_text);
  return machine.gpus > 1 ? Warn("cannot be loaded", machine.nccl_text)
                          : Ok("none; one GPU needs none");
}

Verdict JudgeLoopback(const DoctorFacts& facts) {
  const std::string& problem = facts.machine.loopback_problem;
  return problem.empty() ? Ok("127.0.0.1 gives out ports") : Fail(problem);
}

Verdict JudgeClock(const DoctorFacts& facts) {
  const int64_t now = facts.machine.now_unix_s;
  if (now <= 0) return std::nullopt;
  if (now < kYear2026) return Fail("it is " + FormatTime(now * 1000) + " here");
  int64_t ahead = 0;  // Of the coordinator.
  if (facts.jobs.has_value()) {
    for (const OpenJob& job : *facts.jobs) ahead = std::max(ahead, job.create_time_unix_s - now);
  }
  if (ahead <= kSkewSeconds) return Ok(FormatTime(now * 1000));
  return Warn(fmt::format("the coordinator's is {} s ahead, or more", ahead));
}

Verdict JudgeHostName(const DoctorFacts& facts) {
  const MachineFacts& machine = facts.machine;
  if (machine.host_name.empty() || machine.host_addresses.empty()) return std::nullopt;
  const std::string found =
      fmt::format("{} is {}", machine.host_name, fmt::join(machine.host_addresses, ", "));
  const bool hidden =
      std::all_of(machine.host_addresses.begin(), machine.host_addresses.end(), IsLoopbackAddress);
  // What is for this machine alone needs no name.
  const bool alone = !facts.credentials.tls;
  return hidden && !alone ? Warn(found) : Ok(found);
}

Verdict JudgeProxies(const DoctorFacts& facts) {
  if (facts.machine.proxies.empty()) return std::nullopt;
  return Ok(
      fmt::format("{} set: Drover goes past them, always", fmt::join(facts.machine.proxies, ", ")));
}

// ---- Programs and places.

Verdict JudgePrograms(const DoctorFacts& facts) {
  std::vector<std::string> missing;
  for (const ProgramFacts& program : facts.programs) {
    if (!program.found) missing.push_back(program.name);
  }
  if (missing.empty()) return Ok("all four in " + facts.program_directory);
  return Warn(fmt::format("missing in {}: {}", facts.program_directory, fmt::join(missing, ", ")));
}

Verdict JudgeVersions(const DoctorFacts& facts) {
  std::vector<std::string> others;
  for (const ProgramFacts& program : facts.programs) {
    if (program.found && program.version != facts.version) {
      others.push_back(program.name + " " + (program.version.empty() ? "?" : program.version));
    }
  }
  if (others.empty()) return Ok(facts.version);
  return Fail(fmt::format("drover {}, but {}", facts.version, fmt::join(others, ", ")));
}

Verdict JudgeStateDirectory(const DoctorFacts& facts) {
  const StateFacts& state = facts.state;
  if (!state.problem.empty()) return Fail(state.directory + ": " + state.problem);
  return state.writable ? Ok(state.directory) : Fail(state.directory + " cannot be written");
}

Verdict JudgeDisk(const DoctorFacts& facts) {
  const StateFacts& state = facts.state;
  if (state.free_bytes < 0) return std::nullopt;
  const std::string found =
      fmt::format("{} free in {}", FormatBytes(state.free_bytes), state.directory);
  if (state.free_bytes >= kDiskLow) return Ok(found);
  return state.free_bytes < kDiskEmpty ? Fail(found) : Warn(found);
}

Verdict JudgeInMemory(const DoctorFacts& facts) {
  const StateFacts& state = facts.state;
  if (!state.problem.empty()) return std::nullopt;
  if (!state.in_memory) return Ok("on a disk");
  return Warn(state.directory + " is in memory (tmpfs)");
}

Verdict JudgeLock(const DoctorFacts& facts) {
  const StateFacts& state = facts.state;
  if (!state.problem.empty()) return std::nullopt;
  if (state.locked_by.empty()) return Ok("no daemon uses it");
  return Warn(fmt::format("a running daemon holds {}/{}", state.directory, state.locked_by));
}

Verdict JudgePorts(const DoctorFacts& facts) {
  if (facts.ports.empty()) return std::nullopt;
  std::vector<std::string> strangers;
  std::vector<std::string> ours;
  for (const PortFacts& port : facts.ports) {
    if (!port.taken) continue;
    (port.plausible ? ours : strangers).push_back(fmt::format("{} ({})", port.address, port.user));
  }
  if (!strangers.empty()) {
    return Warn(fmt::format("taken by something else: {}", fmt::join(strangers, ", ")));
  }
  if (ours.empty()) return Ok("the usual ones are free");
  return Ok(fmt::format("a daemon serves {}", fmt::join(ours, ", ")));
}

// ---- One job on this machine.

Verdict JudgeJobFile(const DoctorFacts& facts) {
  if (!facts.job.has_value()) return std::nullopt;
  return facts.job->problem.empty() ? Ok("has no errors") : Fail(facts.job->problem);
}

Verdict JudgeData(const DoctorFacts& facts) {
  if (!facts.job.has_value() || !facts.job->problem.empty()) return std::nullopt;
  return facts.job->data_problem.empty() ? Ok("is here") : Fail(facts.job->data_problem);
}

Verdict JudgeShardMemory(const DoctorFacts& facts) {
  if (!facts.job.has_value() || facts.job->parameters == 0) return std::nullopt;
  const int64_t bytes = facts.job->parameters * facts.job->shard_bytes_per_parameter;
  const std::string found = fmt::format("{} parameters need {} on one shard, less on several",
                                        FormatThousands(facts.job->parameters), FormatBytes(bytes));
  const int64_t available = facts.machine.memory_available_bytes;
  return available < 0 || bytes <= available ? Ok(found) : Warn(found);
}

Verdict JudgeWorkerMemory(const DoctorFacts& facts) {
  if (!facts.job.has_value() || !facts.job->problem.empty()) return std::nullopt;
  const JobNeeds& needs = *facts.job;
  const int64_t available = facts.machine.memory_available_bytes;
  if (needs.parameters == 0) return Ok("only a worker can tell for this model");
  if (available < 0) return std::nullopt;
  const int64_t bytes = WorkerBytes(needs, needs.micro_batch);
  const int64_t largest = LargestMicroBatch(needs, available);
  const std::string found =
      fmt::format("about {} for {} lanes with micro_batch {}; up to {} would fit",
                  FormatBytes(bytes), needs.lanes, needs.micro_batch, largest);
  if (bytes <= available) return Ok(found);
  return Fail(found, largest > 0 ? fmt::format("set micro_batch to {} or less, or give the worker "
                                               "fewer --lanes",
                                               largest)
                                 : "");
}

Verdict JudgeGpuMemory(const DoctorFacts& facts) {
  if (!facts.job.has_value()) return std::nullopt;
  const GpuNeeds& gpu = facts.job->gpu;
  if (!gpu.problem.empty()) return Warn("cannot be told", gpu.problem);
  if (gpu.text.empty()) return std::nullopt;
  return gpu.fits ? Ok(gpu.text) : Fail(gpu.text);
}

}  // namespace drover
