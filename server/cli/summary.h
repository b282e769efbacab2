// What is left when a job has ended: a page for people and a JSON object for scripts. Pure.

#ifndef DROVER_SERVER_CLI_SUMMARY_H_
#define DROVER_SERVER_CLI_SUMMARY_H_

#include <cstdint>
#include <string>

#include "proto/drover/v1/job.pb.h"

namespace drover {

struct RunSummary {
  v1::Job job;
  int64_t workers_lost = 0;
  int64_t shards_restarted = 0;
  std::string checkpoint_path;  // Of the newest one; empty when there is none.
};

// From a job alone, as `drover watch` sees it.
RunSummary SummaryOf(const v1::Job& job);

double RunSeconds(const v1::Job& job);  // From its start to its end; 0 when it has not both.
int64_t RunSamples(const v1::Job& job);

// Several lines, at most 80 characters each but for paths.
std::string FormatSummary(const RunSummary& summary, bool color);

// {"job": id, "name", "state", "reason", "message", "steps", "samples", "samples_per_second",
// "seconds", "final_loss", "final_accuracy", "evaluation_loss", "weights_digest",
// "ledger": {"leaves_expected", "leaves_counted", "leaf_chunks_expected", "leaf_chunks_applied",
// "duplicates", "refused"}, "workers_lost", "shards_restarted", "checkpoint"}; null for what never
// was.
std::string SummaryToJson(const RunSummary& summary);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_SUMMARY_H_
