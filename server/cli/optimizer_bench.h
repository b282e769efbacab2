// The core of `drover bench optimizer`: the memory traffic of each update rule beside a copy and a
// triad of the same run, arrays and threads. Checks the bits before it times. Starts threads.

#ifndef DROVER_SERVER_CLI_OPTIMIZER_BENCH_H_
#define DROVER_SERVER_CLI_OPTIMIZER_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace drover {

struct OptimizerBenchOptions {
  int64_t parameters = int64_t{32} << 20;  // Five float32 arrays of this: keep them beyond caches.
  int64_t repetitions = 5;                 // The best one counts.
  std::vector<int> thread_counts;          // Empty: 1 and all cores.
};

struct OptimizerBenchRow {
  std::string name;  // "copy", "triad" or a rule.
  int threads;
  int bytes_per_parameter;  // Read and written by perfect streaming, both passes if there are two.
  double ns_per_parameter;  // Of wall time, all threads together.
  double gb_per_second;     // 1e9 bytes.
  double ratio;             // gb_per_second over that of the triad with as many threads.
};

// kInvalidArgument for sizes below 1, kResourceExhausted when memory is short, kDataLoss naming the
// rule and element when the fastest passes and the plain ones differ in a bit.
Result<std::vector<OptimizerBenchRow>> BenchOptimizers(const OptimizerBenchOptions& options);

// {"benchmark": "optimizer", "isa": ..., "rows": [{"name", "threads", "bytes_per_parameter",
// "ns_per_parameter", "gb_per_second", "ratio"}]} and a table with the same figures.
std::string BenchToJson(const OptimizerBenchOptions& options,
                        const std::vector<OptimizerBenchRow>& rows);
std::string BenchToTable(const std::vector<OptimizerBenchRow>& rows);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_OPTIMIZER_BENCH_H_
