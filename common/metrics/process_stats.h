// What the kernel says about this process (proc(5)), for /metrics. Thread-safe.

#ifndef DROVER_COMMON_METRICS_PROCESS_STATS_H_
#define DROVER_COMMON_METRICS_PROCESS_STATS_H_

namespace drover {

// 0 where the kernel does not say.
struct ProcessStats {
  double cpu_seconds = 0.0;  // User and system, since the start.
  double resident_bytes = 0.0;
  double open_fds = 0.0;
  double max_fds = 0.0;
  double threads = 0.0;
  double start_time_unix_seconds = 0.0;
};

ProcessStats ReadProcessStats();

}  // namespace drover

#endif  // DROVER_COMMON_METRICS_PROCESS_STATS_H_
