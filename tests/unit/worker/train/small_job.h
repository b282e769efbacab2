// A job that computes in milliseconds: two small layers on data made up on the spot. For tests of
// lanes, leases and the training loop.

#ifndef DROVER_TESTS_UNIT_WORKER_TRAIN_SMALL_JOB_H_
#define DROVER_TESTS_UNIT_WORKER_TRAIN_SMALL_JOB_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/philox.h"
#include "worker/comm/weights_inbox.h"
#include "worker/nn/presets.h"
#include "worker/train/job_setup.h"

namespace drover {

// Holds whoever reads, until it is opened. Thread-safe.
class ReadingGate {
 public:
  void Pass() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    ++held_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(&mutex_);
  }
  void AwaitReaders(int count) DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (held_ < count) changed_.Wait(&mutex_);
  }
  void Open() DROVER_EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int held_ DROVER_GUARDED_BY(mutex_) = 0;
  bool open_ DROVER_GUARDED_BY(mutex_) = false;
};

// Pixels drawn by Philox; what is wrong with sample `bad`, if anything, is up to the test.
class SmallDataset : public Dataset {
 public:
  static constexpr uint64_t kNone = ~uint64_t{0};

  uint64_t size() const override { return samples; }
  const SampleShape& shape() const override { return small_shape; }
  uint64_t fingerprint() const override { return hash; }
  void Read(std::span<const SampleRef> refs, SampleBuffers* out) const override {
    if (gate != nullptr) gate->Pass();
    out->inputs.resize(refs.size() * 6);
    out->labels.resize(refs.size());
    for (size_t i = 0; i < refs.size(); ++i) {
      for (size_t j = 0; j < 6; ++j) {
        out->inputs[i * 6 + j] = UnitFloat(Philox(/*seed=*/7, refs[i].index, j)[0]);
      }
      out->labels[i] = static_cast<int32_t>(refs[i].index % 3);
      if (refs[i].index != bad) continue;
      out->inputs[i * 6] = bad_input;
      out->labels[i] = bad_label;
    }
  }

  SampleShape small_shape = {.extents = {6}, .classes = 3};

  uint64_t hash = 1;
  uint64_t samples = 100;
  uint64_t bad = kNone;
  float bad_input = 0.0f;
  int32_t bad_label = 0;
  std::shared_ptr<ReadingGate> gate = nullptr;  // May be null.
};

// 4 leaves of 2 micro-batches of 4 samples.
inline JobSetup SmallJob(SmallDataset train = {}, SmallDataset test = {}) {
  JobSetup setup;
  setup.network = MlpNetwork({6}, {5}, 3);
  setup.phases = {{.batch = 32, .leaves = 4, .micro_batch = 4}};
  setup.seed = 11;
  setup.fraction_bits = 43;
  setup.train = std::make_shared<SmallDataset>(train);
  setup.test = std::make_shared<SmallDataset>(test);
  setup.dataset = "idx /data/small";
  return setup;
}

// Weights that are not zero, so that every gradient is not either.
inline std::vector<float> SmallWeights(const Layout& layout, int64_t version) {
  std::vector<float> values(layout.SpanElements(layout.all_blocks()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = UnitFloat(Philox(/*seed=*/3, static_cast<uint64_t>(version), i)[0]) - 0.5f;
  }
  return values;
}

inline std::shared_ptr<const Weights> WeightsOf(const Layout& layout, int64_t version) {
  const std::vector<float> values = SmallWeights(layout, version);
  auto weights = std::make_shared<Weights>();
  weights->version = version;
  weights->values = HostArray<float>::Zeroed(values.size());
  std::copy(values.begin(), values.end(), weights->values.data());
  return weights;
}

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_TRAIN_SMALL_JOB_H_
