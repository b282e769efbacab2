// Follows a job until its end and shows it. Main thread only.

#ifndef DROVER_SERVER_CLI_WATCH_LOOP_H_
#define DROVER_SERVER_CLI_WATCH_LOOP_H_

#include <cstdint>
#include <functional>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/rpc/job_client.h"
#include "server/cli/live_output.h"

namespace drover {

struct WatchOptions {
  // How long the coordinator may be away.
  Duration patience = std::chrono::seconds(30);
  // Called at least ten times a second; an error ends the watch.
  std::function<Status()> tend;
  // A job that waits for a person ends the watch too.
  bool stop_when_suspended = false;
  // Events before this are taken in, but are no news; by the coordinator's clock.
  int64_t news_since_unix_ms = 0;
};

struct WatchOutcome {
  v1::Job job;  // As last seen.
  bool interrupted = false;
  Status status;  // Why the watch ended before the job did; OK when it did not.
};

WatchOutcome WatchJob(JobClient* client, const v1::Job& job, const WatchOptions& options,
                      LiveOutput* output);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_WATCH_LOOP_H_
