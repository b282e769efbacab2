// The CPU's model as a device that adds leaves up by itself, as GPUs do.

#ifndef DROVER_TESTS_UNIT_WORKER_TRAIN_ADDING_MODEL_H_
#define DROVER_TESTS_UNIT_WORKER_TRAIN_ADDING_MODEL_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/tensor/fixed_point.h"
#include "worker/nn/leaf_model.h"

namespace drover {

class AddingModel : public LeafModel {
 public:
  explicit AddingModel(std::unique_ptr<LeafModel> cpu)
      : cpu_(std::move(cpu)),
        gradient_(cpu_->layout().SpanElements(cpu_->layout().all_blocks())),
        sums_(gradient_.size()) {}

  static Result<std::unique_ptr<LeafModel>> Make(const NetworkSpec& network,
                                                 const LayerSetting& setting) {
    Result<std::unique_ptr<LeafModel>> cpu = MakeCpuLeafModel(network, setting);
    if (!cpu.ok()) return cpu.status();
    return std::unique_ptr<LeafModel>(std::make_unique<AddingModel>(std::move(cpu).value()));
  }

  const Layout& layout() const override { return cpu_->layout(); }
  int64_t micro_batch() const override { return cpu_->micro_batch(); }
  bool adds_leaves() const override { return true; }

  Status BeginLeaf(LeafWork work) override {
    added_ = std::exchange(work.sums, std::nullopt);
    if (!added_) return cpu_->BeginLeaf(std::move(work));
    finals_.clear();
    work.gradient = gradient_.data();
    work.on_final = [this](size_t tensor) { finals_.push_back(tensor); };
    return cpu_->BeginLeaf(std::move(work));
  }
  Status Add(const Batch& batch, bool last) override { return cpu_->Add(batch, last); }
  Result<LeafResult> EndLeaf() override {
    Result<LeafResult> result = cpu_->EndLeaf();
    if (!result.ok() || !added_) return result;
    for (const size_t tensor : finals_) AddTensor(tensor, &result.value());
    return result;
  }
  Result<BatchResult> Evaluate(int64_t version, WeightsView weights, const Batch& batch) override {
    return cpu_->Evaluate(version, weights, batch);
  }

 private:
  void AddTensor(size_t tensor, LeafResult* result) {
    const FixedPointPasses& passes = FixedPointPassesFor(BestIsa());
    const uint64_t offset = layout().tensor_offset(tensor);
    const size_t size = layout().tensor_size(tensor);
    const int64_t bad = passes.find_bad_f32(gradient_.data() + offset, size, added_->limit);
    if (bad >= 0) {
      const auto element = static_cast<uint64_t>(bad);
      if (!result->bad) result->bad = BadElement{tensor, element, gradient_[offset + element]};
      return;
    }
    (added_->first ? passes.store_f32 : passes.add_f32)(gradient_.data() + offset, size,
                                                        added_->scale, sums_.data() + offset);
    if (!added_->last) return;
    std::copy_n(sums_.data() + offset, size, added_->sums + offset);
    added_->on_final(tensor);
  }

  const std::unique_ptr<LeafModel> cpu_;
  std::vector<float> gradient_;
  std::vector<int64_t> sums_;
  std::vector<size_t> finals_;
  std::optional<LeafSums> added_;
};

}  // namespace drover

#endif  // DROVER_TESTS_UNIT_WORKER_TRAIN_ADDING_MODEL_H_
