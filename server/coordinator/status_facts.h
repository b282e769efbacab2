// What the status page shows, as plain values: gathered by CoordinatorRuntime and StatusHistory,
// written as JSON by status_json.h. Every list is bounded by who fills it. Any thread.

#ifndef DROVER_SERVER_COORDINATOR_STATUS_FACTS_H_
#define DROVER_SERVER_COORDINATOR_STATUS_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drover {

struct StatusJob {
  std::string id;  // 16 hexadecimal digits.
  std::string name;
  std::string state;    // "RUNNING" ...
  std::string reason;   // UPPER_SNAKE, or empty.
  std::string message;  // For people; text from outside.
  bool is_newest_of_name = true;
  int64_t step = 0;  // Committed so far.
  int64_t steps = 0;
  int64_t skipped = 0;  // Of the committed ones.
  int64_t batch = 0;    // Samples of the open step.
  std::string rule;     // "lamb".
  uint64_t parameters = 0;
  uint32_t epoch = 0;
  int64_t workers_lost = 0;
  int64_t shards_restarted = 0;
  int64_t checkpoint_version = -1;  // Newest one; -1: none.
  std::string weights_digest;       // Of that checkpoint.
  int64_t created_unix_ms = 0;
  int64_t started_unix_ms = 0;          // 0: not yet.
  int64_t ended_unix_ms = 0;            // 0: not yet.
  std::optional<double> loss;           // Of the last step.
  std::optional<double> accuracy;       // Of the last step's samples, 0 to 1.
  std::optional<double> eval_loss;      // Of the last evaluation.
  std::optional<double> eval_accuracy;  // Of the last evaluation, 0 to 1.
  std::optional<double> step_seconds;   // Smoothed; only while steps are made.
  std::optional<double> samples_per_second;
};

struct StatusWorker {
  std::string name;
  std::string state;          // active, joining, refused, leaving, idle.
  std::string note;           // Why it was refused.
  std::string numeric_class;  // Begins with the kind of device.
  uint32_t lanes = 0;
  std::string job;  // Id; empty: none.
  std::optional<int64_t> lag_steps;
  std::optional<double> lateness_seconds;
  double samples_per_second = 0;  // Smoothed over leases; 0: not measured.
};

struct StatusShard {
  std::string name;
  std::string address;  // Empty while it is away.
  struct Part {
    std::string job;           // Id.
    uint32_t block_begin = 0;  // Half open.
    uint32_t block_end = 0;
    uint64_t bytes = 0;  // Float32 weights and optimizer state of these blocks.
  };
  std::vector<Part> parts;
};

// One step of the selected job, or one evaluation of it.
struct StatusStep {
  int64_t step = 0;
  double loss = 0;
  double accuracy = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double samples_per_second = 0;
  double ratio_min = 0;  // All three 0: the rule has no trust ratio.
  double ratio_median = 0;
  double ratio_max = 0;
  double noise_scale = 0;  // Of the gradient, in samples; NaN while it is not known.
};
struct StatusEval {
  int64_t step = 0;  // Of the weights.
  double loss = 0;
  double accuracy = 0;
};
struct StatusLine {
  int64_t unix_ms = 0;
  std::string level;  // info, warning, error.
  std::string task;   // coordinator, worker/NAME, shard/NAME.
  std::string text;   // From outside.
};

struct StatusFacts {
  std::string version;  // Of the program.
  std::string server;   // What users give to --server; empty: the default is right.
  int64_t now_unix_ms = 0;
  int64_t started_unix_ms = 0;  // Of the process.
  uint32_t shards_min = 0;      // A job starts once this many are there.
  int64_t jobs_total = 0;       // `jobs` may hold fewer.
  std::vector<StatusJob> jobs;  // Active ones, then the newest.
  int64_t workers_total = 0;
  std::vector<StatusWorker> workers;
  int64_t shards_total = 0;
  std::vector<StatusShard> shards;

  std::string selected;  // Id of a job in `jobs`; empty: there is none.
  std::vector<StatusStep> steps;
  std::vector<StatusEval> evals;
  std::vector<StatusLine> lines;  // Oldest first.
};

}  // namespace drover

#endif  // DROVER_SERVER_COORDINATOR_STATUS_FACTS_H_
