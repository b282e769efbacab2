#include "server/cli/doctor_gather.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <netdb.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <utility>

#include "common/base/clock.h"
#include "common/base/cpu_features.h"
#include "common/base/file_system.h"
#include "common/base/machine_memory.h"
#include "common/base/quote.h"
#include "common/base/thread.h"
#include "common/gpu/cublaslt.h"
#include "common/gpu/device.h"
#include "common/gpu/nccl.h"
#include "common/tls/certificate.h"
#include "common/tls/handshake.h"
#include "common/tls/secret_file.h"
#include "server/cli/format.h"
#include "server/cli/program_answer.h"

namespace drover {
namespace {

constexpr int kProbeMs = 500;

int64_t BytesOf(const struct statvfs& disk, fsblkcnt_t blocks) {
  return static_cast<int64_t>(blocks) * static_cast<int64_t>(disk.f_frsize);
}

std::string LoopbackProblem() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool works = fd >= 0 &&
                     bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                     listen(fd, 1) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  return works ? "" : strerror(error);
}

std::vector<std::string> AddressesOf(const std::string& host) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  std::vector<std::string> addresses;
  if (getaddrinfo(host.c_str(), nullptr, &wanted, &first) != 0) return addresses;
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text = {};
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text.data());
    }
  }
  freeaddrinfo(first);
  return addresses;
}

// Names only: values may hold passwords.
std::vector<std::string> ProxyVariables() {
  std::vector<std::string> names;
  std::ifstream file("/proc/self/environ", std::ios::binary);
  for (std::string entry; std::getline(file, entry, '\0');) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals + 1 == entry.size()) continue;
    const std::string name = entry.substr(0, equals);
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (lower == "http_proxy" || lower == "https_proxy" || lower == "grpc_proxy" ||
        lower == "all_proxy") {
      names.push_back(name);
    }
  }
  return names;
}

void GatherGpus(MachineFacts* machine) {
  machine->has_gpu_file = FileSystem::Real().Exists("/dev/nvidiactl");
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  if (!gpus.ok()) {
    machine->gpu_text = gpus.status().message();
    return;
  }
  const GpuInfo& first = gpus.value().front();
  machine->gpus = gpus.value().size();
  machine->gpu_text = fmt::format(
      "{} x {}, {} of {} free on the first, driver for CUDA {}, built with {}", machine->gpus,
      first.name, FormatBytes(first.free_bytes), FormatBytes(first.total_bytes),
      CudaVersionName(first.driver_version), CudaVersionName(first.runtime_version));
  const Result<CublasLtApi> cublas = LoadCublasLt();
  machine->has_cublas = cublas.ok();
  machine->cublas_text =
      cublas.ok() ? CublasLtVersionName(cublas.value().GetVersion()) : cublas.status().message();
  const Result<NcclApi> nccl = LoadNccl();
  int version = 0;
  const Status asked = nccl.ok()
                           ? NcclStatus(nccl.value(), nccl.value().GetVersion(&version), "version")
                           : nccl.status();
  machine->has_nccl = asked.ok();
  machine->nccl_text = asked.ok() ? NcclVersionName(version) : asked.message();
}

// The lock that somebody holds in a state directory of a shard, of `drover run`, of a coordinator.
std::string LockIn(const std::string& directory) {
  for (const char* name : {"LOCK", "run/lock"}) {
    const int file = open((directory + "/" + name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) continue;
    const bool taken = flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(file);
    if (taken) return name;
  }
  const int store = open((directory + "/jobs.sqlite").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (store < 0) return "";
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  const bool taken = fcntl(store, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
  close(store);
  return taken ? "jobs.sqlite" : "";
}

// OK, or what is wrong, without the code.
std::string Problem(const Status& status) { return status.ok() ? "" : status.message(); }

void GatherCertificate(const TlsFlags& flags, const std::string& authority,
                       CredentialFacts* facts) {
  const Result<std::string> text =
      FileSystem::Real().ReadUserFile(flags.certificate, kPemFileBytesMax);
  if (!text.ok()) {
    facts->unreadable = "--tls-cert: " + text.status().message();
    return;
  }
  const Result<CertificateFacts> read = ReadCertificate(text.value());
  if (!read.ok()) {
    facts->unreadable =
        fmt::format("--tls-cert {} {}", Quote(flags.certificate), read.status().message());
    return;
  }
  facts->not_before_unix_s = read.value().not_before_unix_s;
  facts->not_after_unix_s = read.value().not_after_unix_s;
  facts->authority_problem = Problem(CheckSignedBy(text.value(), authority));
  const Result<Identity> identity = IdentityOfUris(read.value().uris);
  (identity.ok() ? facts->identity : facts->identity_problem) =
      identity.ok() ? ToString(identity.value()) : identity.status().message();
  if (flags.key.empty()) return;
  facts->key_mode_problem = Problem(CheckSecretMode(flags.key));
  const Result<std::string> key = FileSystem::Real().ReadUserFile(flags.key, kPemFileBytesMax);
  if (key.ok()) {
    facts->key_problem = Problem(CheckKeyFits(text.value(), key.value()));
  } else {
    facts->unreadable = "--tls-key: " + key.status().message();
  }
}

std::string TokenProblem(const TlsFlags& flags, const std::string& path) {
  if (!flags.tls()) return "--token-file without --tls-ca: a token is never sent in plain text";
  const Status mode = CheckSecretMode(path);
  if (!mode.ok()) return mode.message();
  const Result<std::string> text = FileSystem::Real().ReadUserFile(path, kPemFileBytesMax);
  if (!text.ok()) return text.status().message();
  const std::string& token = text.value();
  const size_t end = token.find_first_of("\r\n");
  const bool one_line =
      !token.empty() && end != 0 &&
      (end == std::string::npos || token.find_first_not_of("\r\n", end) == std::string::npos);
  return one_line ? "" : Quote(path) + " does not hold one token";
}

}  // namespace

MachineFacts GatherMachine() {
  MachineFacts machine;
  machine.cores = CoreCount();
  for (const Isa isa : RunnableIsas()) {
    machine.instruction_sets += (machine.instruction_sets.empty() ? "" : ", ");
    machine.instruction_sets += IsaName(isa);
  }
  machine.has_avx2 = BestIsa() != Isa::kGeneric;
  machine.memory_available_bytes = ReadMachineMemory().available.value_or(-1);
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    machine.files_soft = files.rlim_cur;
    machine.files_hard = files.rlim_max;
  }
  struct statvfs shared;
  if (statvfs("/dev/shm", &shared) == 0) {
    machine.shared_memory_bytes = BytesOf(shared, shared.f_blocks);
  }
  GatherGpus(&machine);
  machine.loopback_problem = LoopbackProblem();
  std::array<char, 256> name = {};
  if (gethostname(name.data(), name.size() - 1) == 0) machine.host_name = name.data();
  machine.host_addresses = AddressesOf(machine.host_name);
  machine.proxies = ProxyVariables();
  machine.now_unix_s = Clock::Real().UnixMilliseconds() / 1000;
  return machine;
}

std::vector<ProgramFacts> GatherPrograms(const std::string& directory) {
  std::vector<ProgramFacts> programs;
  for (const char* name : {"drover-coordinator", "drover-shard", "drover-worker"}) {
    ProgramFacts program;
    program.name = name;
    const std::string path = directory + "/" + name;
    program.found = access(path.c_str(), X_OK) == 0;
    if (program.found) {
      const std::string line = AskProgram({path, "--version"}).line;
      if (line.starts_with(program.name + " ")) {
        program.version = line.substr(program.name.size() + 1);
      }
    }
    programs.push_back(std::move(program));
  }
  return programs;
}

StateFacts GatherState(const std::string& directory) {
  StateFacts state;
  state.directory = directory;
  struct statvfs disk;
  struct statfs kind;
  if (statvfs(directory.c_str(), &disk) != 0 || statfs(directory.c_str(), &kind) != 0) {
    state.problem = strerror(errno);
    return state;
  }
  state.writable = access(directory.c_str(), W_OK | X_OK) == 0;
  state.in_memory = kind.f_type == TMPFS_MAGIC || kind.f_type == RAMFS_MAGIC;
  state.free_bytes = BytesOf(disk, disk.f_bavail);
  state.locked_by = LockIn(directory);
  return state;
}

std::vector<PortFacts> GatherPorts() {
  std::vector<PortFacts> ports;
  for (const auto& [address, user] : {std::pair("127.0.0.1:50050", "the coordinator's"),
                                      std::pair("127.0.0.1:50051", "a shard's"),
                                      std::pair("127.0.0.1:9464", "the coordinator's metrics")}) {
    PortFacts port;
    port.address = address;
    port.user = user;
    const Handshake answer = ProbeServer(address, {}, kProbeMs);
    port.taken = answer.speech != Handshake::Speech::kRefused;
    port.plausible = answer.speech == Handshake::Speech::kHttp2 ||
                     answer.speech == Handshake::Speech::kTls ||
                     (answer.speech == Handshake::Speech::kHttp1 && port.address.ends_with("9464"));
    ports.push_back(std::move(port));
  }
  return ports;
}

CredentialFacts GatherCredentials(const TlsFlags& flags, const std::string& token_file) {
  CredentialFacts facts;
  facts.tls = flags.tls();
  facts.token_file = token_file;
  if (!token_file.empty()) facts.token_problem = TokenProblem(flags, token_file);
  if (!facts.tls) return facts;
  facts.certificate = flags.certificate;
  if (flags.insecure) facts.missing = "--insecure and --tls-... contradict each other";
  if (flags.certificate.empty() && !flags.key.empty()) facts.missing = "--tls-cert is missing";
  if (!flags.certificate.empty() && flags.key.empty()) facts.missing = "--tls-key is missing";
  if (flags.authority.empty()) {
    facts.missing = "--tls-ca is missing: it says whose certificates are trusted";
    return facts;
  }
  const Result<std::string> authority =
      FileSystem::Real().ReadUserFile(flags.authority, kPemFileBytesMax);
  if (!authority.ok()) {
    facts.unreadable = "--tls-ca: " + authority.status().message();
    return facts;
  }
  const Result<CertificateFacts> read = ReadCertificate(authority.value());
  if (!read.ok()) {
    facts.unreadable =
        fmt::format("--tls-ca {} {}", Quote(flags.authority), read.status().message());
    return facts;
  }
  facts.authority_not_after_unix_s = read.value().not_after_unix_s;
  if (!flags.certificate.empty()) GatherCertificate(flags, authority.value(), &facts);
  return facts;
}

}  // namespace drover
