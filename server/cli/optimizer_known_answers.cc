#include "server/cli/optimizer_known_answers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "common/base/parse.h"
#include "common/base/quote.h"

namespace drover {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kFormat = "drover-optimizer-known-answers-1";

Status Wrong(std::string_view place, std::string_view expected) {
  return Status(Code::kInvalidArgument, fmt::format("{}: expected {}", place, expected));
}

std::vector<std::string_view> SettingNames(Rule rule) {
  switch (rule) {
    case Rule::kSgd:
    case Rule::kMomentum:
    case Rule::kNag:
      return {"momentum", "dampening", "weight_decay", "nesterov"};
    case Rule::kMomentumClassic:
    case Rule::kNagClassic:
      return {"momentum"};
    case Rule::kAdagrad:
      return {"lr_decay", "weight_decay", "initial_accumulator", "eps"};
    case Rule::kRmsProp:
    case Rule::kRmsPropMomentum:
    case Rule::kRmsPropCentered:
    case Rule::kRmsPropCenteredMomentum:
      return {"alpha", "eps", "weight_decay", "momentum", "centered"};
    case Rule::kAdam:
    case Rule::kAdamW:
    case Rule::kAmsGrad:
    case Rule::kAmsGradW:
    case Rule::kRAdam:
      return {"beta1", "beta2", "eps", "weight_decay"};
    case Rule::kNAdam:
      return {"beta1", "beta2", "eps", "weight_decay", "momentum_decay"};
    case Rule::kLion:
      return {"beta1", "beta2", "weight_decay"};
    case Rule::kAdaBound:
      return {"beta1", "beta2", "eps", "weight_decay", "final_lr", "gamma", "base_learning_rate"};
    case Rule::kLamb:
      return {"beta1",          "beta2",           "eps",           "weight_decay",
              "grad_averaging", "bias_correction", "eps_mode",      "decay_mode",
              "adapt",          "phi_min",         "phi_max",       "ratio_min",
              "ratio_max",      "ratio_eps",       "max_grad_norm", "clip_eps"};
    case Rule::kLars:
      return {"momentum", "dampening", "nesterov",     "weight_decay", "trust_coefficient",
              "eps",      "clip_eps",  "always_adapt", "max_grad_norm"};
  }
  return {};  // Not reached: the switch is complete.
}

Result<std::vector<double>> ReadNumbers(const Json& json, const std::string& place) {
  if (!json.is_array()) return Wrong(place, "an array of numbers");
  std::vector<double> numbers;
  for (const Json& number : json) {
    if (!number.is_number()) return Wrong(place, "an array of numbers and nothing else");
    numbers.push_back(number.get<double>());
  }
  return numbers;
}

// As ReadNumbers, of the member `key`, which must hold `count` of them.
Result<std::vector<double>> ReadNumbersOf(const Json& object, const std::string& key, size_t count,
                                          const std::string& place) {
  const std::string here = fmt::format("{}, {}", place, Quote(key));
  if (!object.is_object() || !object.contains(key)) return Wrong(here, "to be there");
  Result<std::vector<double>> numbers = ReadNumbers(object[key], here);
  if (numbers.ok() && numbers.value().size() != count) {
    return Wrong(here, fmt::format("{} numbers, {} came", count, numbers.value().size()));
  }
  return numbers;
}

// One of `names`, which stand in the order of the enum.
template <typename Enum>
Status ReadEnum(const Json& json, std::initializer_list<std::string_view> names,
                const std::string& place, Enum* value) {
  int index = 0;
  for (const std::string_view name : names) {
    if (json.is_string() && json.get_ref<const std::string&>() == name) {
      *value = static_cast<Enum>(index);
      return Status();
    }
    ++index;
  }
  return Wrong(place, fmt::format("one of {}", fmt::join(names, ", ")));
}

Status ReadSwitch(const std::string& name, bool on, const std::string& place,
                  OptimizerSettings* settings) {
  if (name == "grad_averaging") settings->grad_averaging = on;
  if (name == "always_adapt") settings->adapt = on ? Adapt::kAlways : Adapt::kIfDecay;
  if (name != "nesterov") return Status();
  if (settings->rule == Rule::kLars) {
    settings->nesterov = on;
    return Status();
  }
  const bool nag = settings->rule == Rule::kNag;
  if (on == nag) return Status();
  return Wrong(place, nag ? "true for rule nag" : "false; true is rule nag");
}

Status ReadSetting(const std::string& name, const Json& json, const std::string& place,
                   OptimizerSettings* settings) {
  if (name == "bias_correction") {
    return ReadEnum(json, {"both", "none", "in_lr"}, place, &settings->bias_correction);
  }
  if (name == "eps_mode") {
    return ReadEnum(json, {"outside", "inside_sqrt"}, place, &settings->eps_mode);
  }
  if (name == "decay_mode") {
    return ReadEnum(json, {"in_update", "l2", "decoupled"}, place, &settings->decay_mode);
  }
  if (name == "adapt") {
    return ReadEnum(json, {"if_decay", "always", "never"}, place, &settings->adapt);
  }
  if (name == "nesterov" || name == "grad_averaging" || name == "centered" ||
      name == "always_adapt") {
    if (!json.is_boolean()) return Wrong(place, "true or false");
    return ReadSwitch(name, json.get<bool>(), place, settings);
  }
  if (const NumberSetting* setting = FindNumberSetting(name)) {
    if (!json.is_number()) return Wrong(place, "a number");
    settings->*setting->field = json.get<double>();
    return Status();
  }
  return Wrong(place, "a known setting");
}

Result<OptimizerSettings> ReadSettings(const Json& known_case, Rule rule,
                                       const std::string& place) {
  OptimizerSettings settings = DefaultSettings(rule);
  settings.no_decay = settings.no_adapt = {};  // The file says it tensor by tensor.
  if (!known_case.contains("settings") || !known_case["settings"].is_object()) {
    return Wrong(place + ", \"settings\"", "an object");
  }
  const std::vector<std::string_view> names = SettingNames(rule);
  for (const auto& [name, json] : known_case["settings"].items()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{}: setting {} is unknown to rule {}, expected {}", place,
                                Quote(name), InfoOf(rule).name, fmt::join(names, ", ")));
    }
    DROVER_RETURN_IF_ERROR(
        ReadSetting(name, json, fmt::format("{}, setting {}", place, Quote(name)), &settings));
  }
  if (rule == Rule::kRmsProp) {
    const Json& given = known_case["settings"];
    settings.rule = RmsPropRule(given.value("centered", false), settings.momentum);
  }
  if (rule == Rule::kSgd && settings.momentum != 0.0) {
    return Wrong(place + ", setting \"momentum\"", "0 for rule sgd; else write rule momentum");
  }
  OptimizerSettings to_validate = settings;
  // A job may not choose 0; here all elements may have gradients, and others' formulas allow it.
  if (to_validate.eps == 0.0) to_validate.eps = 1e-30;
  DROVER_RETURN_IF_ERROR(Validate(to_validate).Annotate(place));
  return settings;
}

Status ReadLookahead(const Json& json, const std::string& place, OptimizerSettings* settings) {
  if (!json.is_object() || json.size() != 2 || !json.contains("k") || !json.contains("alpha") ||
      !json["k"].is_number_integer() || !json["alpha"].is_number()) {
    return Wrong(place, "an object with an integer \"k\" and a number \"alpha\"");
  }
  settings->lookahead_every = json["k"].get<int64_t>();
  settings->lookahead_alpha = json["alpha"].get<double>();
  if (settings->lookahead_every < 1) return Wrong(place + ", \"k\"", "at least 1");
  if (!(settings->lookahead_alpha >= 0.0 && settings->lookahead_alpha <= 1.0)) {
    return Wrong(place + ", \"alpha\"", "0 <= alpha <= 1");
  }
  return Status();
}

Result<KnownTensor> ReadTensor(const Json& json, const std::string& place) {
  if (!json.is_object()) return Wrong(place, "an object");
  KnownTensor tensor;
  for (const auto& [key, value] : json.items()) {
    const std::string here = fmt::format("{}, {}", place, Quote(key));
    if (key == "name") {
      if (!value.is_string()) return Wrong(here, "a string");
      tensor.name = value.get<std::string>();
    } else if (key == "initial") {
      Result<std::vector<double>> initial = ReadNumbers(value, here);
      if (!initial.ok()) return initial.status();
      tensor.initial = std::move(initial).value();
    } else if (key == "weight_decay") {
      if (!value.is_boolean()) return Wrong(here, "true or false");
      tensor.weight_decay = value.get<bool>();
    } else {
      return Wrong(here, "name, initial or weight_decay");
    }
  }
  if (tensor.name.empty()) return Wrong(place, "a name");
  return tensor;
}

Status ReadTensors(const Json& known_case, const std::string& place, KnownCase* out) {
  if (!known_case.contains("tensors") || !known_case["tensors"].is_array() ||
      known_case["tensors"].empty()) {
    return Wrong(place + ", \"tensors\"", "an array with at least one tensor");
  }
  for (const Json& json : known_case["tensors"]) {
    Result<KnownTensor> tensor = ReadTensor(json, place + ", \"tensors\"");
    if (!tensor.ok()) return tensor.status();
    for (const KnownTensor& other : out->tensors) {
      if (other.name == tensor.value().name) {
        return Wrong(place, fmt::format("tensor {} once", Quote(other.name)));
      }
    }
    out->tensors.push_back(std::move(tensor).value());
  }
  return Status();
}

Status ReadGradients(const Json& known_case, const std::string& place, KnownCase* out) {
  if (known_case.contains("gradients") == known_case.contains("gradient_of")) {
    return Wrong(place, "either gradients or gradient_of");
  }
  for (KnownTensor& tensor : out->tensors) {
    const size_t size = tensor.initial.size();
    if (known_case.contains("gradient_of")) {
      const Json& function = known_case["gradient_of"];
      const std::string here = place + ", \"gradient_of\"";
      if (!function.is_object() || function.size() != 1 || !function.contains("quadratic")) {
        return Wrong(here, "an object with \"quadratic\"");
      }
      Result<std::vector<double>> factors =
          ReadNumbersOf(function["quadratic"], tensor.name, size, here);
      if (!factors.ok()) return factors.status();
      tensor.quadratic = std::move(factors).value();
      continue;
    }
    const Json& updates = known_case["gradients"];
    if (!updates.is_array() || updates.size() != out->learning_rates.size()) {
      return Wrong(place + ", \"gradients\"", "an array as long as learning_rates");
    }
    for (const Json& update : updates) {
      Result<std::vector<double>> gradient =
          ReadNumbersOf(update, tensor.name, size, place + ", \"gradients\"");
      if (!gradient.ok()) return gradient.status();
      tensor.gradients.push_back(std::move(gradient).value());
    }
  }
  return Status();
}

Result<KnownAnswer> ReadAnswer(const std::string& update, const Json& json,
                               const std::string& place, const KnownCase& known_case) {
  const Result<int64_t> number = ParseInt(update);
  const auto updates = static_cast<int64_t>(known_case.learning_rates.size());
  if (!number.ok() || number.value() < 1 || number.value() > updates) {
    return Wrong(place, fmt::format("the number of an update from 1 to {}", updates));
  }
  if (!json.is_object()) return Wrong(place, "an object");
  KnownAnswer answer{number.value(), {}, {}};
  size_t keys = known_case.tensors.size();
  for (const KnownTensor& tensor : known_case.tensors) {
    Result<std::vector<double>> weights =
        ReadNumbersOf(json, tensor.name, tensor.initial.size(), place);
    if (!weights.ok()) return weights.status();
    answer.weights.push_back(std::move(weights).value());
  }
  if (json.contains("trust_ratio")) {
    ++keys;
    for (const KnownTensor& tensor : known_case.tensors) {
      const Json& ratios = json["trust_ratio"];
      if (!ratios.is_object() || !ratios.contains(tensor.name) ||
          !ratios[tensor.name].is_number()) {
        return Wrong(place + ", \"trust_ratio\"",
                     fmt::format("a number for tensor {}", Quote(tensor.name)));
      }
      answer.trust_ratios.push_back(ratios[tensor.name].get<double>());
    }
  }
  if (json.size() != keys) return Wrong(place, "the case's tensors and trust_ratio only");
  return answer;
}

Status ReadRun(const Json& json, const std::string& place, Rule rule, KnownCase* out) {
  Result<OptimizerSettings> settings = ReadSettings(json, rule, place);
  if (!settings.ok()) return settings.status();
  out->settings = std::move(settings).value();
  if (json.contains("lookahead")) {
    DROVER_RETURN_IF_ERROR(
        ReadLookahead(json["lookahead"], place + ", \"lookahead\"", &out->settings));
  }

  Result<std::vector<double>> rates =
      ReadNumbers(json.value("learning_rates", Json()), place + ", \"learning_rates\"");
  if (!rates.ok()) return rates.status();
  out->learning_rates = std::move(rates).value();
  DROVER_RETURN_IF_ERROR(ReadTensors(json, place, out));
  DROVER_RETURN_IF_ERROR(ReadGradients(json, place, out));

  if (!json.contains("expect") || !json["expect"].is_object() || json["expect"].empty()) {
    return Wrong(place + ", \"expect\"", "an object with at least one update");
  }
  for (const auto& [update, values] : json["expect"].items()) {
    Result<KnownAnswer> answer =
        ReadAnswer(update, values, fmt::format("{}, \"expect\", {}", place, Quote(update)), *out);
    if (!answer.ok()) return answer.status();
    out->answers.push_back(std::move(answer).value());
  }
  std::sort(out->answers.begin(), out->answers.end(),
            [](const KnownAnswer& a, const KnownAnswer& b) { return a.update < b.update; });
  return Status();
}

Result<KnownCase> ReadCase(const Json& json, size_t index) {
  std::string place = fmt::format("case {}", index);
  if (!json.is_object()) return Wrong(place, "an object");
  if (!json.contains("name") || !json["name"].is_string()) return Wrong(place, "a name");
  KnownCase known_case;
  known_case.name = json["name"].get<std::string>();
  place = fmt::format("case {}", Quote(known_case.name));
  if (!json.contains("rule") || !json["rule"].is_string()) return Wrong(place, "a rule");
  known_case.rule = json["rule"].get<std::string>();

  constexpr std::array<std::string_view, 10> kKeys = {
      "name",    "rule",      "settings",    "learning_rates", "lookahead",
      "tensors", "gradients", "gradient_of", "expect",         "comment"};
  for (const auto& [key, value] : json.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return Wrong(fmt::format("{}, {}", place, Quote(key)),
                   fmt::format("one of {}", fmt::join(kKeys, ", ")));
    }
  }
  const RuleInfo* info = FindRule(known_case.rule);
  if (info == nullptr) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: rule {} is unknown", place, Quote(known_case.rule)));
  }
  DROVER_RETURN_IF_ERROR(ReadRun(json, place, info->rule, &known_case));
  return known_case;
}

}  // namespace

Result<std::vector<KnownCase>> ParseKnownAnswers(const std::string& json_text) {
  const Json json = Json::parse(json_text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Wrong("known answers", "JSON; the text does not parse");
  if (!json.is_object() || !json.contains("format") || json["format"] != kFormat) {
    return Wrong("known answers, \"format\"", Quote(kFormat));
  }
  if (!json.contains("cases") || !json["cases"].is_array()) {
    return Wrong("known answers, \"cases\"", "an array");
  }
  std::vector<KnownCase> cases;
  for (const Json& known_case : json["cases"]) {
    Result<KnownCase> read = ReadCase(known_case, cases.size());
    if (!read.ok()) return read.status();
    cases.push_back(std::move(read).value());
  }
  return cases;
}

}  // namespace drover
