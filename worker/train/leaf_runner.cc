#include "worker/train/leaf_runner.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "worker/data/sampler.h"

namespace drover {
namespace {

// A loss that is not finite counts as this much per micro-batch: visible, and no sum overflows.
constexpr double kLossMax = 0x1p32;

// Added per micro-batch: rounding each once makes the sum independent of who adds them up.
int64_t Fixed(double loss) {
  return std::llrint(std::ldexp(loss < kLossMax ? loss : kLossMax, kLossFractionBits));
}

void Add(const BatchResult& result, StepStats* stats) {
  stats->loss += Fixed(result.loss_sum);
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

Result<std::unique_ptr<LeafRunner>> LeafRunner::Make(const JobSetup& setup,
                                                     LeafModelMaker make_model) {
  Result<std::unique_ptr<LeafModel>> model =
      make_model(setup.network,
                 {.micro_batch = setup.phases.front().micro_batch, .precision = setup.precision});
  if (!model.ok()) return model.status();
  for (const JobPhase& phase : setup.phases) {
    if (phase.own_network == nullptr) continue;
    const Result<std::unique_ptr<LeafModel>> own =
        MakeCpuLeafModel(*phase.own_network, {.micro_batch = 1, .precision = setup.precision});
    if (!own.ok()) return own.status();
    if (own.value()->layout().tensors() != model.value()->layout().tensors()) {
      return Status(Code::kInvalidArgument,
                    "model: a phase's sequence_length changes its tensors, expected layers whose "
                    "weights do not depend on the length");
    }
  }
  return std::unique_ptr<LeafRunner>(
      new LeafRunner(setup, std::move(make_model), std::move(model).value()));
}

LeafRunner::LeafRunner(const JobSetup& setup, LeafModelMaker make_model,
                       std::unique_ptr<LeafModel> model)
    : setup_(setup),
      make_model_(std::move(make_model)),
      layout_(model->layout()),
      adds_leaves_(model->adds_leaves()),
      model_(std::move(model)),
      network_(&setup_.network) {}

Status LeafRunner::UseModel(const NetworkSpec& network, int64_t micro_batch) {
  if (network_ == &network && model_ != nullptr && model_->micro_batch() == micro_batch) {
    return Status();
  }
  model_.reset();  // Both may not fit.
  Result<std::unique_ptr<LeafModel>> model =
      make_model_(network, {.micro_batch = micro_batch, .precision = setup_.precision});
  if (!model.ok()) return model.status();
  model_ = std::move(model).value();
  network_ = &network;
  return Status();
}

Batch LeafRunner::Read(const Dataset& dataset, size_t begin, size_t samples, uint64_t position) {
  refs_.clear();
  positions_.clear();
  for (size_t i = 0; i < samples; ++i) {
    refs_.push_back({.index = indices_[begin + i], .position = position + i});
    positions_.push_back(position + i);
  }
  dataset.Read(refs_, &samples_);
  const auto data = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
  return {.inputs = data(samples_.inputs),
          .labels = data(samples_.labels),
          .samples = static_cast<int64_t>(samples),
          .tokens = data(samples_.tokens),
          .segments = data(samples_.segments),
          .lengths = data(samples_.lengths),
          .masked_positions = data(samples_.masked_positions),
          .masked_labels = data(samples_.masked_labels),
          .targets = nullptr,
          .seed = setup_.seed,
          .positions = positions_.data()};
}

Result<StepStats> LeafRunner::RunLeaf(int64_t step, uint32_t leaf, WeightsView weights,
                                      float* gradient,
                                      const std::function<void(size_t tensor)>& on_final,
                                      const std::atomic<bool>& cancelled, LeafTimes* times) {
  const Result<Added> added =
      Run(step, leaf, {.weights = weights, .gradient = gradient, .on_final = on_final}, cancelled,
          times);
  if (!added.ok()) return added.status();
  return added.value().stats;
}

Result<LeafRunner::Added> LeafRunner::AddLeaf(int64_t step, uint32_t leaf, WeightsView weights,
                                              LeafSums sums, const std::atomic<bool>& cancelled,
                                              LeafTimes* times) {
  return Run(step, leaf, {.weights = weights, .sums = std::move(sums)}, cancelled, times);
}

Result<LeafRunner::Added> LeafRunner::Run(int64_t step, uint32_t leaf, LeafWork work,
                                          const std::atomic<bool>& cancelled, LeafTimes* times) {
  const JobPhase& phase = setup_.PhaseAt(step);
  const Dataset& train = setup_.TrainOf(phase);
  DROVER_RETURN_IF_ERROR(UseModel(setup_.NetworkOf(phase), phase.micro_batch));
  const uint64_t first_position = phase.LeafPosition(step, leaf);
  SamplePositions(setup_.seed, train.size(), first_position,
                  static_cast<uint64_t>(phase.leaf_samples()), &indices_);
  const size_t micro_batch = static_cast<size_t>(phase.micro_batch);
  int64_t tokens = 0;
  LeafTimes spent;
  Stopwatch watch;
  const auto timed = [&](std::function<void(size_t)>* on_final) {
    if (!*on_final) return;
    *on_final = [&, call = std::move(*on_final)](size_t tensor) {
      spent.backward += watch.Lap();
      call(tensor);
      spent.reduce += watch.Lap();
    };
  };
  work.version = step;
  work.on_backward = [&] { spent.forward += watch.Lap(); };
  timed(&work.on_final);
  if (work.sums) timed(&work.sums->on_final);
  DROVER_RETURN_IF_ERROR(model_->BeginLeaf(std::move(work)));
  for (size_t begin = 0; begin < indices_.size(); begin += micro_batch) {
    if (cancelled.load(std::memory_order_relaxed)) {
      return Status(Code::kCancelled, "the lease is void");
    }
    const Batch batch = Read(train, begin, micro_batch, first_position + begin);
    spent.data += watch.Lap();
    for (int64_t i = 0; batch.lengths != nullptr && i < batch.samples; ++i) {
      tokens += batch.lengths[i];
    }
    DROVER_RETURN_IF_ERROR(model_->Add(batch, begin + micro_batch == indices_.size()));
    spent.backward += watch.Lap();
  }
  const Result<LeafResult> result = model_->EndLeaf();
  if (!result.ok()) return result.status();
  spent.backward += watch.Lap();
  Added added = {.stats = {.tokens = tokens}, .bad = result.value().bad};
  for (const BatchResult& batch : result.value().micro_batches) Add(batch, &added.stats);
  if (times != nullptr) *times = spent;
  return added;
}

Result<EvalStats> LeafRunner::Evaluate(int64_t version, int64_t begin, int64_t end,
                                       WeightsView weights) {
  DROVER_RETURN_IF_ERROR(UseModel(setup_.network, setup_.PhaseAt(version).micro_batch));
  indices_.resize(static_cast<size_t>(end - begin));
  std::iota(indices_.begin(), indices_.end(), static_cast<uint64_t>(begin));
  const Batch batch = Read(*setup_.test, 0, indices_.size(), static_cast<uint64_t>(begin));
  const Result<BatchResult> result = model_->Evaluate(version, weights, batch);
  if (!result.ok()) return result.status();
  return EvalStats{.loss = Fixed(result.value().loss_sum),
                   .correct = result.value().correct,
                   .samples = result.value().samples,
                   .masked_loss = Fixed(result.value().masked_loss_sum),
                   .masked_tokens = result.value().masked_tokens,
                   .masked_correct = result.value().masked_correct};
}

}  // namespace drover
