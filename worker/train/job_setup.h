// From a job's specification to what a worker computes with: model, datasets. Thread-safe:
// functions only.

#ifndef DROVER_WORKER_TRAIN_JOB_SETUP_H_
#define DROVER_WORKER_TRAIN_JOB_SETUP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "proto/drover/v1/job.pb.h"
#include "worker/data/dataset.h"
#include "worker/nn/network_spec.h"

namespace drover {

// Consecutive steps with one batch, and one length of sequences.
struct JobPhase {
  int64_t first_step = 0;
  uint64_t first_position = 0;  // Of its first sample in the endless row of data passes.
  int64_t batch = 0;
  uint32_t leaves = 0;
  int64_t micro_batch = 0;
  // Of a phase with a sequence length of its own; null: the job's.
  std::shared_ptr<const Dataset> own_train = nullptr;
  std::shared_ptr<const NetworkSpec> own_network = nullptr;

  int64_t leaf_samples() const { return batch / leaves; }
  // Of the first sample of a leaf of `step`, which is one of this phase.
  uint64_t LeafPosition(int64_t step, uint32_t leaf) const {
    return first_position + static_cast<uint64_t>((step - first_step) * batch) +
           leaf * static_cast<uint64_t>(leaf_samples());
  }
};

struct JobSetup {
  NetworkSpec network;  // For samples of `test`, and of `train` but for phases with their own.
  Precision precision = Precision::kF32;
  std::vector<JobPhase> phases;  // At least one, in order, the first one of step 0.
  uint64_t seed = 0;
  int fraction_bits = 0;
  bool recompute = false;  // On GPUs: see GpuChain::Make.
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> test;
  std::string dataset;  // Its kind and path, for people.

  const Dataset& TrainOf(const JobPhase& phase) const {
    return phase.own_train != nullptr ? *phase.own_train : *train;
  }
  const NetworkSpec& NetworkOf(const JobPhase& phase) const {
    return phase.own_network != nullptr ? *phase.own_network : network;
  }
  // The phase of step `step`; the last one for the version after the last step.
  const JobPhase& PhaseAt(int64_t step) const {
    size_t index = phases.size() - 1;
    while (index > 0 && phases[index].first_step > step) --index;
    return phases[index];
  }
};

// `spec` with every default written out, as the coordinator sends it. Opens the datasets; errors
// name the file or the field.
Result<JobSetup> SetUpJob(const v1::JobSpec& spec);
// The same, with `files` to open them; it lives as long as the datasets.
Result<JobSetup> SetUpJobFrom(FileSystem& files, const v1::JobSpec& spec);

}  // namespace drover

#endif  // DROVER_WORKER_TRAIN_JOB_SETUP_H_
