#include "server/cli/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/cpu_features.h"
#include "common/base/file_system.h"
#include "common/base/parse.h"
#include "common/base/thread.h"
#include "common/gpu/cublaslt.h"
#include "common/gpu/nccl.h"
#include "common/rpc/health_client.h"
#include "server/cli/exit_code.h"
#include "server/cli/format.h"
#include "server/cli/local_cluster.h"
#include "server/cli/styled_line.h"

namespace drover {
namespace {

constexpr int64_t kGibi = int64_t{1} << 30;
constexpr int64_t kMemoryLow = 2 * kGibi;
constexpr int64_t kDiskLow = 2 * kGibi;
constexpr int64_t kDiskEmpty = kGibi / 4;
constexpr uint64_t kFilesLow = 1024;

const char* HealthName(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarn:
      return "warn";
    case Health::kFail:
      return "fail";
  }
  return "";  // Not reached: the switch is complete.
}

Finding ExamineCores() {
  const int cores = CoreCount();
  return {"cores", Health::kOk, fmt::format("{} usable by this process", cores), ""};
}

Finding ExamineInstructions() {
  std::string names;
  for (const Isa isa : RunnableIsas())
    names += (names.empty() ? "" : ", ") + std::string(IsaName(isa));
  if (BestIsa() != Isa::kGeneric) return {"instructions", Health::kOk, names, ""};
  return {"instructions", Health::kWarn, names + " only",
          "without AVX2 everything works, several times slower"};
}

// The first line of a file of /proc that begins with `key`, without it; such files say that they
// are empty, so that FileSystem cannot read them.
std::string ProcLine(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return "";
}

// Bytes that new processes can have; -1 when the kernel does not tell.
int64_t AvailableMemory() {
  std::string text = ProcLine("/proc/meminfo", "MemAvailable:");
  std::erase(text, ' ');
  if (text.ends_with("kB")) text.resize(text.size() - 2);
  const Result<int64_t> kibi = ParseInt(text);
  return kibi.ok() ? kibi.value() * 1024 : -1;
}

Finding ExamineFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return {"open files", Health::kWarn, strerror(errno), "getrlimit failed"};
  }
  return JudgeFileLimit(limit.rlim_cur, limit.rlim_max);
}

Finding ExamineDisk(const std::string& directory) {
  struct statvfs disk;
  if (statvfs(directory.c_str(), &disk) != 0) {
    return {"disk", Health::kFail, fmt::format("{}: {}", directory, strerror(errno)),
            "name a folder that exists with --state-dir"};
  }
  return JudgeDisk(directory,
                   static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize));
}

Result<size_t> InstalledCublasLt() {
  const Result<CublasLtApi> cublas = LoadCublasLt();
  if (!cublas.ok()) return cublas.status();
  return cublas.value().GetVersion();
}

Result<int> InstalledNccl() {
  const Result<NcclApi> nccl = LoadNccl();
  if (!nccl.ok()) return nccl.status();
  int version = 0;
  DROVER_RETURN_IF_ERROR(NcclStatus(nccl.value(), nccl.value().GetVersion(&version), "version"));
  return version;
}

// The GPUs; where there is one, also what multiplies on it and what adds up several.
std::vector<Finding> ExamineGpus() {
  const Result<std::vector<GpuInfo>> gpus = ListGpus();
  std::vector<Finding> findings = {JudgeGpus(gpus, FileSystem::Real().Exists("/dev/nvidia0"))};
  if (!gpus.ok()) return findings;
  findings.push_back(JudgeCublasLt(InstalledCublasLt()));
  findings.push_back(JudgeNccl(InstalledNccl(), gpus.value().size()));
  return findings;
}

Finding ExamineLoopback() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool works = fd >= 0 &&
                     bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                     listen(fd, 1) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (works) return {"ports", Health::kOk, "127.0.0.1 gives out ports", ""};
  return {"ports", Health::kFail, strerror(error), "a sandbox forbids sockets; allow loopback"};
}

Finding ExaminePrograms() {
  const Result<std::string> directory = ProgramDirectory();
  if (!directory.ok()) return {"programs", Health::kWarn, directory.status().message(), ""};
  std::string missing;
  for (const char* name : {"drover-coordinator", "drover-shard", "drover-worker"}) {
    if (!FileSystem::Real().Exists(directory.value() + "/" + name)) {
      missing += (missing.empty() ? "" : ", ") + std::string(name);
    }
  }
  if (missing.empty()) return {"programs", Health::kOk, "all four in " + directory.value(), ""};
  return {"programs", Health::kWarn, "missing in " + directory.value() + ": " + missing,
          "\"drover run\" needs them beside drover"};
}

}  // namespace

Finding JudgeMemory(int64_t available_bytes) {
  if (available_bytes < 0) return {"memory", Health::kWarn, "unknown", "/proc is not mounted"};
  const std::string found = FormatBytes(available_bytes) + " available";
  if (available_bytes >= kMemoryLow) return {"memory", Health::kOk, found, ""};
  return {"memory", Health::kWarn, found, "the quickstart needs about 1 GiB; use --workers 1"};
}

Finding JudgeFileLimit(uint64_t soft, uint64_t hard) {
  const std::string found = fmt::format("{} (up to {})", soft, hard);
  if (soft >= kFilesLow) return {"open files", Health::kOk, found, ""};
  return {"open files", Health::kWarn, found, "raise it: ulimit -n 4096"};
}

Finding JudgeDisk(const std::string& directory, int64_t free_bytes) {
  const std::string found = fmt::format("{} free in {}", FormatBytes(free_bytes), directory);
  if (free_bytes >= kDiskLow) return {"disk", Health::kOk, found, ""};
  return {"disk", free_bytes < kDiskEmpty ? Health::kFail : Health::kWarn, found,
          "checkpoints and redo logs need room; choose another --state-dir"};
}

Finding JudgeGpus(const Result<std::vector<GpuInfo>>& gpus, bool has_device_file) {
  if (!gpus.ok()) {
    if (!has_device_file) return {"GPU", Health::kOk, "none; workers use the CPU", ""};
    return {"GPU", Health::kWarn, "there is one, but Drover cannot use it",
            gpus.status().message()};
  }
  const GpuInfo& first = gpus.value().front();
  return {"GPU", Health::kOk,
          fmt::format("{} x {}, {} of {} free on the first, driver for CUDA {}, built with {}",
                      gpus.value().size(), first.name, FormatBytes(first.free_bytes),
                      FormatBytes(first.total_bytes), CudaVersionName(first.driver_version),
                      CudaVersionName(first.runtime_version)),
          ""};
}

Finding JudgeCublasLt(const Result<size_t>& version) {
  if (version.ok()) return {"cuBLASLt", Health::kOk, CublasLtVersionName(version.value()), ""};
  return {"cuBLASLt", Health::kWarn, "cannot be used; workers would use the CPU",
          version.status().message()};
}

Finding JudgeNccl(const Result<int>& version, size_t gpus) {
  if (version.ok()) return {"NCCL", Health::kOk, NcclVersionName(version.value()), ""};
  return {"NCCL", gpus > 1 ? Health::kWarn : Health::kOk,
          gpus > 1 ? "cannot be loaded" : "none; one GPU needs none",
          gpus > 1 ? version.status().message() : ""};
}

std::vector<Finding> ExamineMachine(const std::string& directory) {
  std::vector<Finding> findings = {
      ExamineCores(),     ExamineInstructions(),  JudgeMemory(AvailableMemory()),
      ExamineFileLimit(), ExamineDisk(directory), ExamineLoopback()};
  for (Finding& finding : ExamineGpus()) findings.push_back(std::move(finding));
  findings.push_back(ExaminePrograms());
  return findings;
}

std::string FormatFindings(const std::vector<Finding>& findings, bool color) {
  std::string text;
  for (const Finding& finding : findings) {
    const Tone tone = finding.verdict == Health::kOk     ? Tone::kGood
                      : finding.verdict == Health::kWarn ? Tone::kWarning
                                                         : Tone::kBad;
    StyledLine line;
    line.Add(fmt::format("{:<5} ", HealthName(finding.verdict)), tone);
    line.Add(fmt::format("{:<13} ", finding.subject)).Add(finding.found);
    text += line.Render(std::string::npos, color) + "\n";
    if (finding.hint.empty()) continue;
    text += StyledLine()
                .Add(fmt::format("{:20}hint: {}", "", finding.hint), Tone::kDim)
                .Render(std::string::npos, color) +
            "\n";
  }
  return text;
}

std::string FindingsToJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    json.push_back({{"subject", finding.subject},
                    {"verdict", HealthName(finding.verdict)},
                    {"found", finding.found},
                    {"hint", finding.hint}});
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int DoctorCommand(const GlobalOptions& global, const std::string& directory) {
  const std::vector<Finding> findings = ExamineMachine(directory);
  fmt::print("{}", global.json ? FindingsToJson(findings)
                               : FormatFindings(findings, UseColor(global.color, stdout)));
  const bool fails = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Health::kFail;
  });
  return fails ? kExitFailed : kExitOk;
}

int ProbeCommand(const GlobalOptions& global, const std::string& address) {
  const Status health = CheckHealth(address, global.timeout, global.security);
  if (!health.ok()) return ReportError(health);
  fmt::print("serving\n");
  return kExitOk;
}

}  // namespace drover
