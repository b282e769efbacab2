#include "server/cli/gpu_needs.h"

#include <fmt/format.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "common/config/flags.h"
#include "server/cli/program_answer.h"

namespace drover {
namespace {

// A file without a name that children inherit.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& text) : file_(memfd_create("job", 0)) {
    whole_ =
        file_ >= 0 && write(file_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  ~MemoryFile() {
    if (file_ >= 0) close(file_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  bool whole() const { return whole_; }
  std::string path() const { return fmt::format("/proc/self/fd/{}", file_); }

 private:
  const int file_;
  bool whole_ = false;
};

}  // namespace

GpuNeeds GatherGpuNeeds(const v1::JobSpec& spec, const std::string& directory, size_t gpus,
                        int64_t gpu_memory_bytes) {
  GpuNeeds needs;
  if (spec.device() == v1::JobSpec::DEVICE_CPU) return needs;
  if (gpus == 0 && gpu_memory_bytes == 0) {
    if (spec.device() == v1::JobSpec::DEVICE_CUDA) {
      needs.text = "a machine with a GPU can tell, or --gpu-memory 80GiB";
    }
    return needs;
  }
  const MemoryFile file(spec.SerializeAsString());
  if (!file.whole()) {
    needs.problem = fmt::format("no memory for a file: {}", strerror(errno));
    return needs;
  }
  std::vector<std::string> question = {directory + "/drover-worker", "--memory-of", file.path()};
  if (gpu_memory_bytes > 0) {
    question.insert(question.end(), {"--gpu-memory", fmt::format("{}", gpu_memory_bytes)});
  }
  const ProgramAnswer answer = AskProgram(question, AnswerStream::kOutputAndErrors);
  if (answer.exit_code == 0 || answer.exit_code == kExitTooLittleMemory) {
    needs.text = answer.line;
    needs.fits = answer.exit_code == 0;
    return needs;
  }
  // Without the name of our file, which says nothing.
  const std::string prefix = fmt::format("--memory-of {}: ", file.path());
  needs.problem = answer.line.starts_with(prefix) ? answer.line.substr(prefix.size()) : answer.line;
  if (needs.problem.empty()) needs.problem = question.front() + " gives no answer";
  return needs;
}

}  // namespace drover
