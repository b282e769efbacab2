#include <utility>

#include "worker/nn/leaf_model.h"
#include "worker/nn/model.h"

namespace drover {
namespace {

class CpuLeafModel : public LeafModel {
 public:
  explicit CpuLeafModel(std::unique_ptr<Model> model) : model_(std::move(model)) {}

  const Layout& layout() const override { return model_->layout(); }
  int64_t micro_batch() const override { return model_->micro_batch(); }
  bool adds_leaves() const override { return false; }

  Status BeginLeaf(LeafWork work) override {
    work_ = std::move(work);
    results_.clear();
    return Status();
  }

  Status Add(const Batch& batch, bool last) override {
    const Result<BatchResult> result =
        model_->ForwardBackward(batch, work_.weights.values,
                                {.base = work_.gradient,
                                 .first = results_.empty(),
                                 .on_final = last ? work_.on_final : std::function<void(size_t)>(),
                                 .on_backward = work_.on_backward});
    if (!result.ok()) return result.status();
    results_.push_back(result.value());
    return Status();
  }

  Result<LeafResult> EndLeaf() override { return LeafResult{std::move(results_)}; }

  Result<BatchResult> Evaluate(int64_t /*version*/, WeightsView weights,
                               const Batch& batch) override {
    return model_->Evaluate(batch, weights.values);
  }

 private:
  const std::unique_ptr<Model> model_;
  LeafWork work_;
  std::vector<BatchResult> results_;
};

}  // namespace

Result<std::unique_ptr<LeafModel>> MakeCpuLeafModel(const NetworkSpec& network,
                                                    const LayerSetting& setting) {
  Result<std::unique_ptr<Model>> model = Model::Make(network, setting);
  if (!model.ok()) return model.status();
  return std::unique_ptr<LeafModel>(std::make_unique<CpuLeafModel>(std::move(model).value()));
}

}  // namespace drover
