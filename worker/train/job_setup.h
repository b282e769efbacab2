// From a job's specification to what a worker computes with: model, datasets. Thread-safe:
// functions only.

#ifndef DROVER_WORKER_TRAIN_JOB_SETUP_H_
#define DROVER_WORKER_TRAIN_JOB_SETUP_H_

#include <cstdint>
#include <memory>

#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"
#include "worker/data/dataset.h"
#include "worker/nn/network_spec.h"

namespace drover {

struct JobSetup {
  NetworkSpec network;
  Precision precision = Precision::kF32;
  int64_t batch = 0;
  uint32_t leaves = 0;
  int64_t micro_batch = 0;
  uint64_t seed = 0;
  int fraction_bits = 0;
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> test;

  int64_t leaf_samples() const { return batch / leaves; }
};

// `spec` with every default written out, as the coordinator sends it. Opens the datasets; errors
// name the file or the field.
Result<JobSetup> SetUpJob(const v1::JobSpec& spec);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_JOB_SETUP_H_
