// What is known of a job while its events arrive: the numbers behind the live block and the lines.
// Knows nothing of terminals. Not thread-safe.

#ifndef DROVER_SERVER_CLI_PROGRESS_H_
#define DROVER_SERVER_CLI_PROGRESS_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "proto/drover/v1/job.pb.h"

namespace drover {

inline constexpr size_t kEtaStepTimes = 50;
inline constexpr size_t kSpeedSteps = 20;
inline constexpr size_t kEtaStepsMin = 5;

class Progress {
 public:
  // `job` as GetJob gives it; events then bring it up to date.
  explicit Progress(const v1::Job& job);

  void Apply(const v1::JobEvent& event);
  void Update(const v1::Job& job);  // As GetJob gives it now.

  const v1::Job& job() const { return job_; }
  int64_t steps() const { return job_.spec().steps(); }
  // Of all steps, 0 to 1.
  double fraction() const;
  // Steps left times the median of the last step times; nothing before a few were seen.
  std::optional<double> EtaSeconds() const;
  // Over the last steps; nothing before the first.
  std::optional<double> SamplesPerSecond() const;
  int64_t clipped_steps() const { return clipped_steps_; }
  int64_t skipped_steps() const { return skipped_steps_; }
  int64_t last_checkpoint_unix_ms() const { return last_checkpoint_unix_ms_; }  // 0: none.
  int64_t last_sequence() const { return last_sequence_; }

 private:
  v1::Job job_;
  std::deque<v1::StepReport> recent_steps_;  // At most kEtaStepTimes.
  int64_t clipped_steps_ = 0;
  int64_t skipped_steps_ = 0;
  int64_t last_checkpoint_unix_ms_ = 0;
  int64_t last_sequence_ = 0;
};

}  // namespace drover

#endif  // DROVER_SERVER_CLI_PROGRESS_H_
