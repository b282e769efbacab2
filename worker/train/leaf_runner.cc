#include "worker/train/leaf_runner.h"

#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "worker/data/sampler.h"

namespace drover {
namespace {

// A loss that is not finite counts as this much per micro-batch: visible, and no sum overflows.
constexpr double kLossMax = 0x1p32;

// Added per micro-batch: rounding each once makes the sum independent of who adds them up.
void Add(const BatchResult& result, StepStats* stats) {
  const double loss = result.loss_sum < kLossMax ? result.loss_sum : kLossMax;
  stats->loss += std::llrint(std::ldexp(loss, kLossFractionBits));
  stats->correct += result.correct;
  stats->samples += result.samples;
}

// Two readings per phase of a micro-batch: 25 ns each, where a phase takes tenths of milliseconds.
class Stopwatch {
 public:
  // Since the last lap, or construction.
  Duration Lap() {
    const Instant now = Clock::Real().Now();
    return now - std::exchange(last_, now);
  }

 private:
  Instant last_ = Clock::Real().Now();
};

}  // namespace

Result<std::unique_ptr<LeafRunner>> LeafRunner::Make(const JobSetup& setup) {
  Result<std::unique_ptr<Model>> model = Model::Make(setup.model, setup.micro_batch);
  if (!model.ok()) return model.status();
  return std::unique_ptr<LeafRunner>(new LeafRunner(setup, std::move(model).value()));
}

LeafRunner::LeafRunner(const JobSetup& setup, std::unique_ptr<Model> model)
    : setup_(setup),
      model_(std::move(model)),
      inputs_(static_cast<size_t>(setup.micro_batch * setup.model.input_size)),
      labels_(static_cast<size_t>(setup.micro_batch)) {}

Result<StepStats> LeafRunner::RunLeaf(int64_t step, uint32_t leaf, const float* weights,
                                      float* gradient,
                                      const std::function<void(size_t tensor)>& on_final,
                                      const std::atomic<bool>& cancelled, LeafTimes* times) {
  SamplePositions(setup_.seed, setup_.train->size(), static_cast<uint64_t>(setup_.batch),
                  setup_.leaves, static_cast<uint64_t>(step), leaf, &indices_);
  const size_t micro_batch = static_cast<size_t>(setup_.micro_batch);
  StepStats stats;
  LeafTimes spent;
  Stopwatch watch;
  for (size_t begin = 0; begin < indices_.size(); begin += micro_batch) {
    if (cancelled.load(std::memory_order_relaxed)) {
      return Status(Code::kCancelled, "the lease is void");
    }
    setup_.train->Read(std::span(indices_).subspan(begin, micro_batch), inputs_.data(),
                       labels_.data());
    spent.data += watch.Lap();
    const bool last = begin + micro_batch == indices_.size();
    GradientSink sink;
    sink.base = gradient;
    sink.first = begin == 0;
    sink.on_backward = [&] { spent.forward += watch.Lap(); };
    if (last && on_final) {
      sink.on_final = [&](size_t tensor) {
        spent.backward += watch.Lap();
        on_final(tensor);
        spent.encode += watch.Lap();
      };
    }
    const Result<BatchResult> result = model_->ForwardBackward(
        {inputs_.data(), labels_.data(), setup_.micro_batch}, weights, sink);
    if (!result.ok()) return result.status();
    spent.backward += watch.Lap();
    Add(result.value(), &stats);
  }
  if (times != nullptr) *times = spent;
  return stats;
}

Result<StepStats> LeafRunner::Evaluate(int64_t begin, int64_t end, const float* weights) {
  indices_.resize(static_cast<size_t>(end - begin));
  std::iota(indices_.begin(), indices_.end(), static_cast<uint64_t>(begin));
  setup_.test->Read(indices_, inputs_.data(), labels_.data());
  const Result<BatchResult> result =
      model_->Evaluate({inputs_.data(), labels_.data(), end - begin}, weights);
  if (!result.ok()) return result.status();
  StepStats stats;
  Add(result.value(), &stats);
  return stats;
}

}  // namespace drover
