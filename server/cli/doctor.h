// `drover doctor`: whether this machine can run Drover, and what to do where it cannot. Reads the
// machine, changes nothing. Main thread only.

#ifndef DROVER_SERVER_CLI_DOCTOR_H_
#define DROVER_SERVER_CLI_DOCTOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/gpu/device.h"
#include "server/cli/global_options.h"

namespace drover {

enum class Health { kOk, kWarn, kFail };

struct Finding {
  std::string subject;
  Health verdict;
  std::string found;
  std::string hint;  // What to do; empty for kOk.
};

// All checks of this machine. `directory` is where state would be kept.
std::vector<Finding> ExamineMachine(const std::string& directory);

// The same from given numbers, for tests.
Finding JudgeMemory(int64_t available_bytes);
Finding JudgeFileLimit(uint64_t soft, uint64_t hard);
Finding JudgeDisk(const std::string& directory, int64_t free_bytes);
// `has_device_file`: the kernel shows an NVIDIA GPU, whether or not this program can use it.
Finding JudgeGpus(const Result<std::vector<GpuInfo>>& gpus, bool has_device_file);
// `version`: of the cuBLASLt that was loaded, as it writes it, or why none was. There is a GPU.
Finding JudgeCublasLt(const Result<size_t>& version);
// `version`: of the NCCL that was loaded, as it writes it, or why none was.
Finding JudgeNccl(const Result<int>& version, size_t gpus);

std::string FormatFindings(const std::vector<Finding>& findings, bool color);
std::string FindingsToJson(const std::vector<Finding>& findings);

// Exit code 1 when something fails.
int DoctorCommand(const GlobalOptions& global, const std::string& directory);

// One health call to a daemon: 0 when it serves.
int ProbeCommand(const GlobalOptions& global, const std::string& address);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_DOCTOR_H_
