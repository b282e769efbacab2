// What the machine, or the container that this process is in, has of memory. Reads files of the
// kernel, which say that they are empty, so that FileSystem cannot read them. Thread-safe.

#ifndef DROVER_COMMON_BASE_MACHINE_MEMORY_H_
#define DROVER_COMMON_BASE_MACHINE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

namespace drover {

// Bytes, each the smaller of what the machine says and what the limit of this process's cgroup
// (version 2, as containers have it) says; nothing when neither can be read.
struct MachineMemory {
  std::optional<int64_t> total;
  std::optional<int64_t> available;  // File cache counts: the kernel gives it up.
};

// `root` stands before /proc and /sys, for tests.
MachineMemory ReadMachineMemory(const std::string& root = "");

}  // namespace drover

#endif  // DROVER_COMMON_BASE_MACHINE_MEMORY_H_
