#include "worker/nn/tensor_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace drover {
namespace {

// Drops what is used again and says for each use which tensor it is. kInvalidArgument when two
// tensors of one name are not the same.
Status MergeShared(const std::vector<TensorSpec>& uses, std::vector<TensorSpec>* tensors,
                   std::vector<size_t>* used) {
  std::map<std::string, size_t> known;
  for (const TensorSpec& use : uses) {
    const auto [found, is_new] = known.emplace(use.name, tensors->size());
    if (is_new) {
      tensors->push_back(use);
    } else if (!((*tensors)[found->second] == use)) {
      return Status(Code::kInvalidArgument,
                    fmt::format("two layers have a tensor \"{}\" of different shape or initial "
                                "values: give the layers different names",
                                use.name));
    }
    used->push_back(found->second);
  }
  return Status();
}

std::vector<TensorUse> UsesOf(const std::vector<size_t>& used, size_t tensors) {
  std::vector<TensorUse> uses;
  std::vector<size_t> uses_of(tensors, 0);
  for (size_t i = used.size(); i-- > 0;) {
    uses.push_back(
        {.tensor = used[i], .writes_first = uses_of[used[i]]++ == 0, .writes_last = false});
  }
  std::ranges::reverse(uses);
  for (TensorUse& use : uses) {
    if (uses_of[use.tensor] == 0) continue;
    use.writes_last = true;
    uses_of[use.tensor] = 0;
  }
  return uses;
}

}  // namespace

Result<TensorPlan> PlanTensors(const std::vector<TensorSpec>& uses) {
  std::vector<TensorSpec> tensors;
  std::vector<size_t> used;
  DROVER_RETURN_IF_ERROR(MergeShared(uses, &tensors, &used));
  std::vector<TensorUse> of_layers = UsesOf(used, tensors.size());
  Result<Layout> layout = Layout::Make(std::move(tensors));
  if (!layout.ok()) return layout.status();
  return TensorPlan{std::move(layout).value(), std::move(of_layers)};
}

}  // namespace drover
