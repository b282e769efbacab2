#include "server/cli/doctor_checks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/cli/doctor_judges.h"

namespace drover {
namespace {

constexpr auto kChecks = std::to_array<DoctorCheck>({
    {"cores", "none", "", &JudgeCores},
    {"instructions", "the CPU, or a virtual machine, has no AVX2",
     "everything works, several times slower; let the hypervisor pass the host's CPU through",
     &JudgeInstructions},
    {"memory", "less than 2 GiB are available", "the quickstart needs about 1 GiB; use --workers 1",
     &JudgeMemory},
    {"open files", "the limit of open files is below 1,024",
     "raise it: ulimit -n 4096, or LimitNOFILE=65536 in the service's unit", &JudgeFiles},
    {"shared memory", "several GPUs, and /dev/shm is below 1 GiB",
     "NCCL needs it: docker run --shm-size 2g, or an in-memory volume at /dev/shm",
     &JudgeSharedMemory},
    {"GPU", "there is a GPU, but no driver, or no CUDA in this build",
     "the message says which; nvidia-smi must work, in a container with --gpus all", &JudgeGpus},
    {"cuBLASLt", "there is a GPU, but cuBLAS is not installed", "apt-get install libcublas-13-0",
     &JudgeCublas},
    {"NCCL", "several GPUs, and NCCL is not installed", "apt-get install libnccl2", &JudgeNccl},
    {"ports", "no port can be opened on loopback", "a sandbox forbids sockets; allow loopback",
     &JudgeLoopback},
    {"usual ports", "50050, 50051 or 9464 is taken by another program",
     "choose others with --listen and --metrics; port 0 takes a free one", &JudgePorts},
    {"clock", "the clock is wrong, or differs from the coordinator's",
     "set it by NTP: certificates and deadlines depend on it", &JudgeClock},
    {"host name", "the name of this machine means loopback to itself",
     "give shards --advertise with a name or address that other machines reach", &JudgeHostName},
    {"proxies", "none: proxies of the environment are never used", "", &JudgeProxies},
    {"programs", "a daemon is missing beside drover", "\"drover run\" needs them beside drover",
     &JudgePrograms},
    {"versions", "a daemon is of another release", "install all four programs of one release",
     &JudgeVersions},
    {"state", "the state directory is missing or cannot be written",
     "name a folder of this user with --state-dir", &JudgeStateDirectory},
    {"disk", "little room for state",
     "checkpoints and redo logs need room; choose another --state-dir", &JudgeDisk},
    {"state on disk", "the state directory is in memory",
     "it is gone when the machine restarts; choose another --state-dir", &JudgeInMemory},
    {"state in use", "a second daemon with one state directory",
     "a second daemon would not start with it: give each its own --state-dir", &JudgeLock},
    {"TLS files", "a certificate, key or authority is missing or cannot be read",
     "\"drover certs init DIR\" makes all files; the user who runs the program must own them",
     &JudgeTlsFiles},
    {"certificate", "a certificate has run out, or will within 14 days",
     "\"drover certs issue\" makes a new one; put it in place of the old, no restart is needed",
     &JudgeExpiry},
    {"not yet", "a certificate is not valid yet", "set the clock of this machine by NTP",
     &JudgeNotYet},
    {"authority", "a certificate is of another authority, or nobody's",
     "take --tls-cert and --tls-ca of one \"drover certs init\"", &JudgeAuthority},
    {"key", "a key belongs to another certificate", "take both files of one pair", &JudgeKey},
    {"key mode", "a key can be read by every account", "chmod 600 FILE", &JudgeKeyMode},
    {"token", "a token file is open to others, empty, or used without TLS",
     "chmod 600 FILE; one line, as \"drover tokens add\" printed it; and --tls-ca", &JudgeToken},
    {"coordinator", "the coordinator cannot be reached",
     "is it running, and is --server its --listen address as seen from here?", &JudgeReach},
    {"its port", "the port is another one, such as that of /metrics",
     "give --server the port of --listen, by default 50050; 9464 is for metrics", &JudgePort},
    {"plain or TLS", "one end speaks TLS, the other one plain text",
     "use TLS on both ends, or on none", &JudgeTlsMatch},
    {"its authority", "the coordinator's certificate is of another authority",
     "give --tls-ca the ca.crt that signed it", &JudgeServerTrust},
    {"its date", "the coordinator's certificate has run out, or is not valid yet",
     "issue a new one on the coordinator's machine; it is read again within 10 s",
     &JudgeServerTime},
    {"its name", "the coordinator's certificate does not hold the name that is dialled",
     "dial one of its names, or issue it again with --host NAME", &JudgeServerName},
    {"its answer", "the coordinator turns this caller away in the handshake",
     "give --tls-cert and --tls-key of a pair that its authority has signed", &JudgeTurnedAway},
    {"a call", "the coordinator refuses the call", "the message names the role that is needed",
     &JudgeCall},
    {"shards", "a job waits for shards",
     "start drover-shard with --coordinator; the coordinator's --min-shards says how many",
     &JudgeShards},
    {"workers", "a job waits for workers", "start drover-worker with --coordinator", &JudgeWorkers},
    {"refused workers", "workers have another numeric class, dataset or model than the job",
     "start workers like the first one (same CPU or GPU, same release), or mixed: true in the job",
     &JudgeRefusedWorkers},
    {"job file", "the job file has errors", "every field: docs/job_file.md", &JudgeJobFile},
    {"job data", "the dataset's folder is missing, or its files have other names",
     "mount it on every worker under the same path; names as in docs/job_file.md", &JudgeData},
    {"shard memory", "a shard has too little memory for the job",
     "start more shards, on other machines: each holds its part only", &JudgeShardMemory},
    {"worker memory", "a worker has too little memory for the job",
     "not even one sample fits: a machine with more memory, or fewer --lanes", &JudgeWorkerMemory},
    {"GPU memory", "a GPU has too little memory for the job's micro_batch",
     "a smaller micro_batch, numerics.recompute: true, precision: bf16, or a larger GPU",
     &JudgeGpuMemory},
});

}  // namespace

std::span<const DoctorCheck> DoctorChecks() { return kChecks; }

std::vector<Finding> Judge(const DoctorFacts& facts) {
  std::vector<Finding> findings;
  for (const DoctorCheck& check : kChecks) {
    std::optional<Finding> finding = check.judge(facts);
    if (!finding.has_value()) continue;
    finding->subject = check.name;
    if (finding->verdict != Health::kOk && finding->hint.empty()) finding->hint = check.remedy;
    findings.push_back(*std::move(finding));
  }
  return findings;
}

int64_t WorkerBytes(const JobNeeds& needs, int64_t micro_batch) {
  // Versions of weights and the sums of an open lease once; a gradient and a pass per lane.
  constexpr int64_t kGradientBytes = 4;
  return needs.parameters * (needs.worker_bytes_per_parameter + kGradientBytes * needs.lanes) +
         needs.lanes * micro_batch * needs.sample_bytes;
}

int64_t LargestMicroBatch(const JobNeeds& needs, int64_t available_bytes) {
  if (needs.parameters == 0 || needs.sample_bytes <= 0) return 0;
  const int64_t left = available_bytes - WorkerBytes(needs, 0);
  if (left <= 0) return 0;
  // A leaf is a whole number of micro-batches.
  int64_t size = std::min(needs.leaf_samples, left / (needs.lanes * needs.sample_bytes));
  while (size > 0 && needs.leaf_samples % size != 0) --size;
  return size;
}

}  // namespace drover
