// What the first line of a daemon's log says besides its flags: the port of its metrics and what
// the machine lets it use. Thread-safe: a function only.

#ifndef DROVER_COMMON_METRICS_START_FACTS_H_
#define DROVER_COMMON_METRICS_START_FACTS_H_

#include "common/base/log_line.h"

namespace drover {

class MetricsServer;

// `facts`, then metrics_port (0 when `metrics` is null), cores, memory (of the machine or of its
// control group, whichever is less) and open_files (the limit).
LogFacts StartFacts(LogFacts facts, const MetricsServer* metrics);

}  // namespace drover

#endif  // DROVER_COMMON_METRICS_START_FACTS_H_
