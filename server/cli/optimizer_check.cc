#include "server/cli/optimizer_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "common/base/cpu_features.h"
#include "common/base/quote.h"
#include "server/cli/optimizer_known_answers.h"
#include "server/optim/direction.h"
#include "server/optim/lookahead.h"
#include "server/optim/step_scalars.h"
#include "server/optim/whole_model.h"

namespace drover {
namespace {

constexpr size_t kFailuresShown = 5;

// The formulas of one rule in float64.
struct ExactRule {
  using Formula = double (*)(const StepScalarsOf<double>&, ElementOf<double>&);
  Formula direction;
  Formula measured;
  StepScalarsOf<double> (*with_scale)(StepScalarsOf<double> s, double scale);
  double (*step_factor)(double scale);
};

template <size_t... kIndex>
ExactRule ExactRuleAt(size_t index, std::index_sequence<kIndex...>) {
  constexpr std::array<ExactRule, sizeof...(kIndex)> kExactRules = {ExactRule{
      &Direction<kRules[kIndex].rule, double>, &MeasuredDirection<kRules[kIndex].rule, double>,
      &ScalarsWithScale<kRules[kIndex].rule, double>, &StepFactor<kRules[kIndex].rule, double>}...};
  return kExactRules[index];
}

ExactRule ExactRuleOf(Rule rule) {
  return ExactRuleAt(static_cast<size_t>(rule), std::make_index_sequence<kRules.size()>());
}

// The formulas of the passes in float64, one weight after the other. Same interface as WholeModel.
class ExactModel {
 public:
  struct Tensor {
    GroupSettings group;
    std::vector<double> weight;
    std::array<std::vector<double>, kSlotsMax> slots;
    std::vector<double> slow;   // Of Lookahead.
    std::vector<double> reach;  // [updates] Sum so far of max(learning rate, largest |scale * u|).
  };

  explicit ExactModel(const OptimizerSettings& settings)
      : settings_(settings), rule_(ExactRuleOf(settings.rule)) {}

  void AddTensor(std::vector<double> initial, GroupSettings group) {
    const std::vector<double> zero(initial.size(), 0.0);
    std::vector<double> slow = initial;
    tensors_.push_back({group, std::move(initial), {zero, zero, zero}, std::move(slow), {}});
  }

  std::vector<TrustRatio> Update(double learning_rate,
                                 const std::vector<std::vector<double>>& gradients) {
    ++update_;
    double squares = 0.0;
    for (const std::vector<double>& gradient : gradients) {
      for (const double g : gradient) squares += g * g;
    }
    const double clip_factor = ClipFactor(settings_, std::sqrt(squares));
    std::vector<TrustRatio> ratios;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      ratios.push_back(UpdateTensor(learning_rate, clip_factor, gradients[i], tensors_[i]));
    }
    return ratios;
  }

  const Tensor& tensor(size_t index) const { return tensors_[index]; }

 private:
  TrustRatio UpdateTensor(double learning_rate, double clip_factor,
                          const std::vector<double>& gradient, Tensor& tensor) const {
    const StepScalarsOf<double> s =
        ComputeStepScalarsInDouble(settings_, tensor.group, update_, learning_rate, clip_factor);
    const auto element = [&](size_t i, double clip) {
      return ElementOf<double>{tensor.weight[i], gradient[i] * clip, tensor.slots[0][i],
                               tensor.slots[1][i], tensor.slots[2][i]};
    };
    double weight_squares = 0.0;
    double direction_squares = 0.0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      ElementOf<double> e = element(i, s.clip);
      const double u = rule_.measured(s, e);
      weight_squares += e.w * e.w;
      direction_squares += u * u;
    }
    const TrustRatio ratio = ComputeTrustRatio(settings_, tensor.group, std::sqrt(weight_squares),
                                               std::sqrt(direction_squares));
    const double scale = UpdateScale(settings_, tensor.group, update_, learning_rate, ratio.ratio);
    const StepScalarsOf<double> scaled = rule_.with_scale(s, scale);
    double step_max = 0.0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      ElementOf<double> e = element(i, scaled.clip);
      const double step = rule_.step_factor(scale) * rule_.direction(scaled, e);
      tensor.weight[i] = e.w - step;
      tensor.slots[0][i] = e.slot0;
      tensor.slots[1][i] = e.slot1;
      tensor.slots[2][i] = e.slot2;
      step_max = std::max(step_max, std::abs(step));
    }
    const LookaheadStep lookahead = LookaheadStepOf(settings_, update_);
    for (size_t i = 0; lookahead.sync && i < tensor.weight.size(); ++i) {
      const double behind = lookahead.ahead == 0.0f ? 0.0 : settings_.momentum * tensor.slots[0][i];
      const double alpha = settings_.lookahead_alpha;
      tensor.slow[i] = SlowWeight(1.0 - alpha, alpha, tensor.slow[i], tensor.weight[i] + behind);
      tensor.weight[i] = tensor.slow[i] - behind;
    }
    tensor.reach.push_back((tensor.reach.empty() ? 0.0 : tensor.reach.back()) +
                           std::max(learning_rate, step_max));
    return ratio;
  }

  const OptimizerSettings& settings_;
  const ExactRule rule_;
  int64_t update_ = 0;
  std::vector<Tensor> tensors_;
};

// Every weight and ratio after each update, for comparing builds bit by bit.
template <typename Real>
struct Trajectory {
  std::vector<std::vector<std::vector<Real>>> weights;  // [updates][tensors][elements].
  std::vector<std::vector<double>> ratios;              // [updates][tensors].
};

// What known answers call the weight. nag_classic holds the look-ahead point x = p - mu b instead.
template <typename Real>
std::vector<Real> AnswerOf(const OptimizerSettings& settings, const std::vector<Real>& weight,
                           const std::vector<Real>& buffer) {
  if (settings.rule != Rule::kNagClassic) return weight;
  std::vector<Real> point = weight;
  for (size_t i = 0; i < point.size(); ++i) {
    point[i] += static_cast<Real>(settings.momentum) * buffer[i];
  }
  return point;
}

template <typename Real, typename Model>
Trajectory<Real> Run(const KnownCase& known_case, Model& model) {
  for (const KnownTensor& tensor : known_case.tensors) {
    model.AddTensor(std::vector<Real>(tensor.initial.begin(), tensor.initial.end()),
                    MakeGroup(known_case.settings, tensor.weight_decay, /*may_adapt=*/true));
  }
  Trajectory<Real> trajectory;
  for (size_t update = 0; update < known_case.learning_rates.size(); ++update) {
    std::vector<std::vector<Real>> gradients;
    for (size_t i = 0; i < known_case.tensors.size(); ++i) {
      const KnownTensor& tensor = known_case.tensors[i];
      const std::vector<double>& values =
          tensor.quadratic.empty() ? tensor.gradients[update] : tensor.quadratic;
      std::vector<Real> gradient(values.begin(), values.end());
      for (size_t k = 0; k < tensor.quadratic.size(); ++k) gradient[k] *= model.tensor(i).weight[k];
      gradients.push_back(std::move(gradient));
    }
    std::vector<double> ratios;
    for (const TrustRatio& ratio : model.Update(known_case.learning_rates[update], gradients)) {
      ratios.push_back(ratio.ratio);
    }
    trajectory.ratios.push_back(std::move(ratios));
    std::vector<std::vector<Real>> weights;
    for (size_t i = 0; i < gradients.size(); ++i) {
      weights.push_back(
          AnswerOf(known_case.settings, model.tensor(i).weight, model.tensor(i).slots[0]));
    }
    trajectory.weights.push_back(std::move(weights));
  }
  return trajectory;
}

// What float32 may cost after `updates` updates, by measurement over 500: 2e-6 of each step, taken
// as no shorter than the learning rate, and a last place of the largest weight in a random walk.
double Float32Tolerance(double reach, const std::vector<double>& want, int64_t updates) {
  double largest = 0.0;
  for (const double w : want) largest = std::max(largest, std::abs(w));
  return 2e-6 * reach + 1.2e-7 * largest * std::sqrt(static_cast<double>(updates));
}
constexpr double kFloat32RatioTolerance = 1e-6;  // Relative.
constexpr double kFloat64Tolerance = 1e-12;      // Relative above 1, absolute below.

class Comparison {
 public:
  Comparison(const KnownCase& known_case, CheckedCase* out) : case_(known_case), out_(*out) {}

  void SetArithmetic(std::string arithmetic) { arithmetic_ = std::move(arithmetic); }

  // Negated on purpose: a NaN is a failure.
  void Compare(size_t tensor, int64_t element, size_t update, double got, double want,
               double tolerance) {
    ++out_.values_compared;
    if (std::abs(got - want) <= tolerance) return;
    ++out_.failure_count;
    if (out_.failures.size() >= kFailuresShown) return;
    out_.failures.push_back({arithmetic_, case_.tensors[tensor].name, element,
                             static_cast<int64_t>(update) + 1, got, want, tolerance});
  }

  // With the file's answers. weight_tolerance(update, tensor, wanted tensor, wanted element).
  template <typename Real, typename WeightTolerance>
  void CompareWithAnswers(const Trajectory<Real>& got, double ratio_tolerance,
                          const WeightTolerance& weight_tolerance) {
    for (const KnownAnswer& answer : case_.answers) {
      const auto update = static_cast<size_t>(answer.update - 1);
      for (size_t tensor = 0; tensor < answer.weights.size(); ++tensor) {
        const std::vector<double>& want = answer.weights[tensor];
        for (size_t i = 0; i < want.size(); ++i) {
          Compare(tensor, static_cast<int64_t>(i), update,
                  static_cast<double>(got.weights[update][tensor][i]), want[i],
                  weight_tolerance(update, tensor, want, want[i]));
        }
        if (answer.trust_ratios.empty()) continue;
        const double ratio = answer.trust_ratios[tensor];
        Compare(tensor, /*element=*/-1, update, got.ratios[update][tensor], ratio,
                ratio_tolerance * std::abs(ratio));
      }
    }
  }

  // All updates, bit by bit but for the sign of zero.
  void CompareBuilds(const Trajectory<float>& got, const Trajectory<float>& want) {
    for (size_t update = 0; update < want.weights.size(); ++update) {
      for (size_t tensor = 0; tensor < want.weights[update].size(); ++tensor) {
        for (size_t i = 0; i < want.weights[update][tensor].size(); ++i) {
          Compare(tensor, static_cast<int64_t>(i), update,
                  static_cast<double>(got.weights[update][tensor][i]),
                  static_cast<double>(want.weights[update][tensor][i]), /*tolerance=*/0.0);
        }
        Compare(tensor, /*element=*/-1, update, got.ratios[update][tensor],
                want.ratios[update][tensor], /*tolerance=*/0.0);
      }
    }
  }

 private:
  const KnownCase& case_;
  CheckedCase& out_;
  std::string arithmetic_;
};

CheckedCase CheckCase(const KnownCase& known_case) {
  CheckedCase checked;
  checked.name = known_case.name;
  checked.rule = known_case.rule;
  Comparison comparison(known_case, &checked);
  comparison.SetArithmetic("float64");
  ExactModel exact(known_case.settings);
  comparison.CompareWithAnswers(Run<double>(known_case, exact), kFloat64Tolerance,
                                [](size_t, size_t, const std::vector<double>&, double want) {
                                  return kFloat64Tolerance * std::max(1.0, std::abs(want));
                                });

  Trajectory<float> first;
  for (const Isa isa : RunnableIsas()) {
    comparison.SetArithmetic(IsaName(isa));
    WholeModel model(known_case.settings, isa);
    const Trajectory<float> got = Run<float>(known_case, model);
    comparison.CompareWithAnswers(
        got, kFloat32RatioTolerance,
        [&](size_t update, size_t tensor, const std::vector<double>& want, double) {
          return Float32Tolerance(exact.tensor(tensor).reach[update], want,
                                  static_cast<int64_t>(update) + 1);
        });
    if (isa == RunnableIsas().front()) {
      first = got;
    } else {
      comparison.CompareBuilds(got, first);
    }
  }
  return checked;
}

}  // namespace

int64_t CheckReport::passed() const {
  return std::count_if(cases.begin(), cases.end(),
                       [](const CheckedCase& checked) { return checked.failure_count == 0; });
}

int64_t CheckReport::failed() const {
  return std::count_if(cases.begin(), cases.end(),
                       [](const CheckedCase& checked) { return checked.failure_count > 0; });
}

bool CheckReport::ok() const { return failed() == 0 && passed() > 0; }

Result<CheckReport> CheckOptimizers(const std::string& json_text, const CheckOptions& options) {
  const Result<std::vector<KnownCase>> cases = ParseKnownAnswers(json_text);
  if (!cases.ok()) return cases.status();
  CheckReport report;
  const bool filtered = !options.rule.empty();
  for (const KnownCase& known_case : cases.value()) {
    if (filtered && known_case.rule != options.rule) continue;
    report.cases.push_back(CheckCase(known_case));
  }
  if (report.cases.empty()) {
    return Status(Code::kNotFound, filtered ? fmt::format("no case of rule {} in the known answers",
                                                          Quote(options.rule))
                                            : "no case in the known answers");
  }
  return report;
}

std::string FormatReport(const CheckReport& report) {
  std::string text;
  for (const CheckedCase& checked : report.cases) {
    const std::string name = fmt::format("{} ({})", checked.name, checked.rule);
    text += fmt::format("{}  {}: {} values compared, {} wrong\n",
                        checked.failure_count == 0 ? "passed" : "FAILED", name,
                        checked.values_compared, checked.failure_count);
    for (const CheckFailure& failure : checked.failures) {
      const std::string what =
          failure.element < 0 ? "trust ratio" : fmt::format("element {}", failure.element);
      text += fmt::format(
          "        case {} rule {} in {}: tensor {}, {}, update {}: got {}, want {} +- "
          "{:.3g}\n",
          checked.name, checked.rule, failure.arithmetic, failure.tensor, what, failure.update,
          failure.got, failure.want, failure.tolerance);
    }
  }
  text += fmt::format("{} passed, {} failed\n", report.passed(), report.failed());
  return text;
}

}  // namespace drover
