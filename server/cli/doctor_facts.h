// What `drover doctor` knows before it judges: plain values, gathered by doctor_gather.h,
// doctor_server.h and job_needs.h. A fact that could not be had is empty or negative; the checks
// that need it then say nothing. Not thread-safe: main thread only.

#ifndef DROVER_SERVER_CLI_DOCTOR_FACTS_H_
#define DROVER_SERVER_CLI_DOCTOR_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/tls/handshake.h"

namespace drover {

struct MachineFacts {
  int cores = 0;
  std::string instruction_sets;  // "generic, avx2"
  bool has_avx2 = false;
  int64_t memory_available_bytes = -1;
  uint64_t files_soft = 0;
  uint64_t files_hard = 0;
  int64_t shared_memory_bytes = -1;  // Of /dev/shm.
  size_t gpus = 0;                   // That this program can use.
  bool has_gpu_file = false;         // The kernel shows an NVIDIA GPU, usable or not.
  std::string gpu_text;              // The GPUs, or why there is none.
  std::string cublas_text;           // Its version, or why it cannot be loaded.
  bool has_cublas = false;
  std::string nccl_text;  // Likewise.
  bool has_nccl = false;
  std::string loopback_problem;  // Why 127.0.0.1 gives out no port.
  std::string host_name;
  std::vector<std::string> host_addresses;  // What the name resolves to.
  std::vector<std::string> proxies;         // Variables that are set: "https_proxy".
  int64_t now_unix_s = 0;
};

struct ProgramFacts {
  std::string name;     // "drover-worker"
  bool found = false;   // Beside `drover`.
  std::string version;  // What --version prints after the name.
};

struct StateFacts {
  std::string directory;
  std::string problem;  // Why it cannot be looked at.
  bool writable = false;
  bool in_memory = false;  // tmpfs: gone after a restart of the machine.
  int64_t free_bytes = -1;
  std::string locked_by;  // The lock that a running daemon holds: "LOCK".
};

// Who listens where a daemon would.
struct PortFacts {
  std::string address;
  std::string user;  // "a coordinator"
  bool taken = false;
  bool plausible = false;  // It speaks what a daemon speaks there.
};

// --tls-cert, --tls-key, --tls-ca, --token-file of this call.
struct CredentialFacts {
  bool tls = false;
  std::string missing;      // "--tls-key is missing: ..."
  std::string unreadable;   // Which file and why.
  std::string certificate;  // Path; empty: none is shown.
  int64_t not_before_unix_s = 0;
  int64_t not_after_unix_s = 0;
  std::string identity;           // "worker/w1"
  std::string identity_problem;   // Why it is nobody's.
  std::string authority_problem;  // Why --tls-ca did not sign it.
  int64_t authority_not_after_unix_s = 0;
  std::string key_problem;       // Why --tls-key is not its key.
  std::string key_mode_problem;  // Who else may read it.
  std::string token_file;        // Path; empty: none.
  std::string token_problem;     // Unreadable, open to others, or without TLS.
};

struct ServerFacts {
  std::string address;
  bool asked_for = false;  // With --server, so that it ought to be there.
  Handshake found;         // With our certificates, if there are any.
  // Of a call that lists jobs.
  bool answered = false;
  std::string call_problem;
};

// A job that is not over, as the coordinator tells.
struct OpenJob {
  std::string name;
  std::string state;   // "RUNNING"
  std::string reason;  // "WAITING_FOR_WORKERS"
  std::string message;
  int64_t create_time_unix_s = 0;
};

// What drover-worker says of the job on a GPU; both texts empty: it was not asked.
struct GpuNeeds {
  std::string text;
  bool fits = true;
  std::string problem;  // Why it cannot say.
};

// Of `drover doctor --job FILE`.
struct JobNeeds {
  std::string problem;       // The file has errors.
  std::string data_problem;  // Its dataset is not here.
  int64_t parameters = 0;    // 0: only a worker can tell.
  int64_t shard_bytes_per_parameter = 0;
  int64_t worker_bytes_per_parameter = 0;
  int64_t sample_bytes = 0;  // Activations and gradients of one sample, about.
  int64_t micro_batch = 0;
  int64_t leaf_samples = 0;
  int64_t lanes = 1;  // On this machine.
  GpuNeeds gpu;
};

struct DoctorFacts {
  MachineFacts machine;
  std::string version;  // Of this program.
  std::string program_directory;
  std::vector<ProgramFacts> programs;
  StateFacts state;
  std::vector<PortFacts> ports;
  CredentialFacts credentials;
  std::optional<ServerFacts> server;
  std::optional<std::vector<OpenJob>> jobs;  // When the server answered.
  std::optional<JobNeeds> job;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_FACTS_H_
