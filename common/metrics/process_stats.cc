#include "common/metrics/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace drover {
namespace {

// Files of /proc have no size: read to the end.
std::string ReadProc(const char* path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

// Fields of /proc/self/stat from the third on: the second is the program's name, which may hold
// blanks and brackets.
std::vector<std::string> StatFields() {
  const std::string stat = ReadProc("/proc/self/stat");
  const size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream rest(stat.substr(end_of_name + 1));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

double NumberAt(const std::vector<std::string>& fields, size_t index) {
  double value = 0.0;
  if (index < fields.size()) std::istringstream(fields[index]) >> value;
  return value;
}

double BootTimeUnixSeconds() {
  std::istringstream lines(ReadProc("/proc/stat"));
  std::string key;
  double value = 0.0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("btime ", 0) == 0) std::istringstream(line) >> key >> value;
  }
  return value;
}

double CountOpenFds() {
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0.0;
  int count = -3;  // ".", ".." and the directory itself.
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

}  // namespace

ProcessStats ReadProcessStats() {
  // Positions as proc(5) numbers them, which counts from 1 and starts two fields earlier.
  constexpr size_t kUserTime = 14 - 3;
  constexpr size_t kSystemTime = 15 - 3;
  constexpr size_t kThreads = 20 - 3;
  constexpr size_t kStartTime = 22 - 3;
  constexpr size_t kResidentPages = 24 - 3;
  const std::vector<std::string> fields = StatFields();
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessStats stats;
  stats.cpu_seconds = (NumberAt(fields, kUserTime) + NumberAt(fields, kSystemTime)) / ticks;
  stats.resident_bytes =
      NumberAt(fields, kResidentPages) * static_cast<double>(sysconf(_SC_PAGESIZE));
  stats.open_fds = CountOpenFds();
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_fds = static_cast<double>(limit.rlim_cur);
  stats.threads = NumberAt(fields, kThreads);
  stats.start_time_unix_seconds = BootTimeUnixSeconds() + NumberAt(fields, kStartTime) / ticks;
  return stats;
}

}  // namespace drover
