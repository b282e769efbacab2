#include "server/shard/shard_metrics.h"

namespace drover {

struct ShardMetrics::Figures {};

ShardMetrics::ShardMetrics() = default;
ShardMetrics::~ShardMetrics() = default;

void ShardMetrics::SetJob(uint64_t, uint64_t, uint64_t) {}
void ShardMetrics::OpenStep(uint64_t) {}
void ShardMetrics::SetVersion(int64_t) {}
void ShardMetrics::SetStateBytes(size_t) {}
void ShardMetrics::CountGradient(const FrameHeader&, Verdict, Duration) {}
void ShardMetrics::CountMalformed(Code) {}
void ShardMetrics::CountWeightsSent(uint64_t) {}
void ShardMetrics::CountRedo(uint64_t, Duration) {}
void ShardMetrics::ObserveMeasure(Duration) {}
void ShardMetrics::ObserveApply(Duration) {}
void ShardMetrics::ObservePublish(Duration) {}
void ShardMetrics::ObserveRestore(const std::string&, Duration) {}

}  // namespace drover
