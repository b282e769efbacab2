#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/repeated_field.h>

#include "common/base/quote.h"
#include "server/spec_checker.h"

namespace drover {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::RepeatedPtrField;

// Larger numbers would be infinite, or drown everything, once rounded to float32.
constexpr double kNumberMax = 1e30;
constexpr double kEpsMin = 1e-30;
constexpr int kExclusionsMax = 64;
constexpr size_t kExclusionBytesMax = 200;

bool IsNotNegative(double value) { return value >= 0.0 && value <= kNumberMax; }

void CheckNumber(const std::string& path, const std::string& name, double value,
                 SpecChecker* checker) {
  if (name == "beta1" || name == "beta2" || name == "momentum") {
    checker->Holds(path, value, value >= 0.0 && value < 1.0, "0 <= " + name + " < 1");
  } else if (name == "dampening") {
    checker->Holds(path, value, value >= 0.0 && value <= 1.0, "0 <= dampening <= 1");
  } else if (name == "eps") {
    checker->Holds(path, value, value >= kEpsMin && value <= 1.0, "1e-30 <= eps <= 1");
  } else if (name == "phi_max" || name == "ratio_max") {
    checker->Holds(path, value, value > 0.0, "a number > 0; leave it out for no limit");
  } else {
    checker->Holds(path, value, IsNotNegative(value), "0 <= " + name + " <= 1e30");
  }
}

// Every number that is set in the message of a rule, by the name of its field.
void CheckNumbers(const std::string& path, const Message& rule, SpecChecker* checker) {
  std::vector<const FieldDescriptor*> fields;
  rule.GetReflection()->ListFields(rule, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) continue;
    const double value = rule.GetReflection()->GetDouble(rule, field);
    CheckNumber(path + "." + field->name(), field->name(), value, checker);
  }
}

std::vector<std::string> ReadNames(const std::string& path,
                                   const RepeatedPtrField<std::string>& list,
                                   std::vector<std::string> absent, SpecChecker* checker) {
  if (list.empty()) return absent;
  if (list.size() == 1 && list[0] == "none") return {};
  if (list.size() > kExclusionsMax) {
    checker->Add(path, "has {} entries, expected at most {}", list.size(), kExclusionsMax);
    return absent;
  }
  for (const std::string& name : list) {
    if (name.empty() || name.size() > kExclusionBytesMax) {
      checker->Add(path, "holds {}, expected parts of tensor names such as \"bias\"", Quote(name));
    } else if (name == "none") {
      checker->Add(path, "holds \"none\" beside other names, expected it alone");
    }
  }
  return {list.begin(), list.end()};
}

void WriteNames(const std::vector<std::string>& names, RepeatedPtrField<std::string>* list) {
  list->Assign(names.begin(), names.end());
  if (names.empty()) list->Add("none");
}

void ReadAdam(const std::string& path, const v1::Adam& adam, OptimizerSettings* settings,
              SpecChecker* checker) {
  if (adam.has_beta1()) settings->beta1 = adam.beta1();
  if (adam.has_beta2()) settings->beta2 = adam.beta2();
  if (adam.has_eps()) settings->eps = adam.eps();
  if (adam.has_weight_decay()) settings->weight_decay = adam.weight_decay();
  if (adam.has_max_grad_norm()) settings->max_grad_norm = adam.max_grad_norm();
  settings->no_decay = ReadNames(path + ".no_decay", adam.no_decay(), settings->no_decay, checker);
}

void ReadLambModes(const v1::Lamb& lamb, OptimizerSettings* settings) {
  switch (lamb.bias_correction()) {
    case v1::Lamb::BIAS_CORRECTION_BOTH:
      settings->bias_correction = BiasCorrection::kBoth;
      break;
    case v1::Lamb::BIAS_CORRECTION_NONE:
      settings->bias_correction = BiasCorrection::kNone;
      break;
    case v1::Lamb::BIAS_CORRECTION_IN_LR:
      settings->bias_correction = BiasCorrection::kInLr;
      break;
    default:
      break;  // As the preset says. Unknown numbers have been refused.
  }
  if (lamb.eps_mode() == v1::Lamb::EPS_MODE_OUTSIDE) settings->eps_mode = EpsMode::kOutside;
  if (lamb.eps_mode() == v1::Lamb::EPS_MODE_INSIDE_SQRT) settings->eps_mode = EpsMode::kInsideSqrt;
  if (lamb.decay_mode() == v1::Lamb::DECAY_MODE_IN_UPDATE) {
    settings->decay_mode = DecayMode::kInUpdate;
  }
  if (lamb.decay_mode() == v1::Lamb::DECAY_MODE_L2) settings->decay_mode = DecayMode::kL2;
  if (lamb.decay_mode() == v1::Lamb::DECAY_MODE_DECOUPLED) {
    settings->decay_mode = DecayMode::kDecoupledBefore;
  }
  if (lamb.adapt() == v1::Lamb::ADAPT_IF_DECAY) settings->adapt = Adapt::kIfDecay;
  if (lamb.adapt() == v1::Lamb::ADAPT_ALWAYS) settings->adapt = Adapt::kAlways;
  if (lamb.adapt() == v1::Lamb::ADAPT_NEVER) settings->adapt = Adapt::kNever;
}

OptimizerSettings ReadLamb(const v1::Lamb& lamb, SpecChecker* checker) {
  const std::string path = "optimizer.lamb";
  OptimizerSettings settings = DefaultSettings(Rule::kLamb);
  if (!lamb.preset().empty()) {
    Result<OptimizerSettings> preset = LambPreset(lamb.preset().substr(0, kExclusionBytesMax));
    if (preset.ok()) {
      settings = std::move(preset).value();
    } else {
      checker->Add(path + ".preset",
                   "is {}, expected one of tfa, apex, nvlamb, nvlamb_picture, paper_v3, ymcui, "
                   "cybertron, deepspeed, lambc",
                   Quote(lamb.preset()));
    }
  }
  const bool adapt_follows_decay = !settings.no_adapt.empty();
  if (lamb.has_beta1()) settings.beta1 = lamb.beta1();
  if (lamb.has_beta2()) settings.beta2 = lamb.beta2();
  if (lamb.has_eps()) settings.eps = lamb.eps();
  if (lamb.has_weight_decay()) settings.weight_decay = lamb.weight_decay();
  if (lamb.has_grad_averaging()) settings.grad_averaging = lamb.grad_averaging();
  if (lamb.has_phi_min()) settings.phi_min = lamb.phi_min();
  if (lamb.has_phi_max()) settings.phi_max = lamb.phi_max();
  if (lamb.has_ratio_min()) settings.ratio_min = lamb.ratio_min();
  if (lamb.has_ratio_max()) settings.ratio_max = lamb.ratio_max();
  if (lamb.has_ratio_eps()) settings.ratio_eps = lamb.ratio_eps();
  if (lamb.has_max_grad_norm()) settings.max_grad_norm = lamb.max_grad_norm();
  if (lamb.has_clip_eps()) settings.clip_eps = lamb.clip_eps();
  ReadLambModes(lamb, &settings);
  settings.no_decay = ReadNames(path + ".no_decay", lamb.no_decay(), settings.no_decay, checker);
  if (adapt_follows_decay) settings.no_adapt = settings.no_decay;
  settings.no_adapt = ReadNames(path + ".no_adapt", lamb.no_adapt(), settings.no_adapt, checker);
  return settings;
}

v1::Adam WriteAdam(const OptimizerSettings& s) {
  v1::Adam adam;
  adam.set_beta1(s.beta1);
  adam.set_beta2(s.beta2);
  adam.set_eps(s.eps);
  adam.set_weight_decay(s.weight_decay);
  adam.set_max_grad_norm(s.max_grad_norm);
  WriteNames(s.no_decay, adam.mutable_no_decay());
  return adam;
}

v1::Lamb WriteLamb(const OptimizerSettings& s, std::string_view preset) {
  v1::Lamb lamb;
  lamb.set_preset(preset.empty() ? "tfa" : std::string(preset));
  lamb.set_beta1(s.beta1);
  lamb.set_beta2(s.beta2);
  lamb.set_eps(s.eps);
  lamb.set_weight_decay(s.weight_decay);
  lamb.set_grad_averaging(s.grad_averaging);
  lamb.set_bias_correction(
      s.bias_correction == BiasCorrection::kBoth   ? v1::Lamb::BIAS_CORRECTION_BOTH
      : s.bias_correction == BiasCorrection::kNone ? v1::Lamb::BIAS_CORRECTION_NONE
                                                   : v1::Lamb::BIAS_CORRECTION_IN_LR);
  lamb.set_eps_mode(s.eps_mode == EpsMode::kOutside ? v1::Lamb::EPS_MODE_OUTSIDE
                                                    : v1::Lamb::EPS_MODE_INSIDE_SQRT);
  lamb.set_decay_mode(s.decay_mode == DecayMode::kInUpdate ? v1::Lamb::DECAY_MODE_IN_UPDATE
                      : s.decay_mode == DecayMode::kL2     ? v1::Lamb::DECAY_MODE_L2
                                                           : v1::Lamb::DECAY_MODE_DECOUPLED);
  lamb.set_adapt(s.adapt == Adapt::kIfDecay  ? v1::Lamb::ADAPT_IF_DECAY
                 : s.adapt == Adapt::kAlways ? v1::Lamb::ADAPT_ALWAYS
                                             : v1::Lamb::ADAPT_NEVER);
  lamb.set_phi_min(s.phi_min);
  lamb.set_phi_max(s.phi_max);
  lamb.set_ratio_min(s.ratio_min);
  lamb.set_ratio_max(s.ratio_max);
  lamb.set_ratio_eps(s.ratio_eps);
  lamb.set_max_grad_norm(s.max_grad_norm);
  lamb.set_clip_eps(s.clip_eps);
  WriteNames(s.no_decay, lamb.mutable_no_decay());
  WriteNames(s.no_adapt, lamb.mutable_no_adapt());
  return lamb;
}

// What the fields of the rule say, each in range or already in `checker`.
OptimizerSettings ReadRule(const v1::OptimizerSpec& spec, SpecChecker* checker) {
  OptimizerSettings settings;
  switch (spec.rule_case()) {
    case v1::OptimizerSpec::kSgd:
      settings = DefaultSettings(Rule::kSgd);
      settings.weight_decay = spec.sgd().weight_decay();
      settings.max_grad_norm = spec.sgd().max_grad_norm();
      break;
    case v1::OptimizerSpec::kMomentum:
      settings = DefaultSettings(Rule::kMomentum);
      if (spec.momentum().has_momentum()) settings.momentum = spec.momentum().momentum();
      settings.dampening = spec.momentum().dampening();
      settings.weight_decay = spec.momentum().weight_decay();
      settings.max_grad_norm = spec.momentum().max_grad_norm();
      break;
    case v1::OptimizerSpec::kAdam:
      settings = DefaultSettings(Rule::kAdam);
      ReadAdam("optimizer.adam", spec.adam(), &settings, checker);
      break;
    case v1::OptimizerSpec::kAdamw:
      settings = DefaultSettings(Rule::kAdamW);
      ReadAdam("optimizer.adamw", spec.adamw(), &settings, checker);
      break;
    case v1::OptimizerSpec::kLamb:
      settings = ReadLamb(spec.lamb(), checker);
      break;
    case v1::OptimizerSpec::RULE_NOT_SET:
      checker->Add("optimizer", "is missing, expected one of sgd, momentum, adam, adamw, lamb");
      break;
  }
  return settings;
}

}  // namespace

OptimizerSettings ReadOptimizer(const v1::OptimizerSpec& spec, SpecChecker* checker) {
  const size_t violations = checker->violations().size();
  const FieldDescriptor* const set =
      spec.GetReflection()->GetOneofFieldDescriptor(spec, spec.GetDescriptor()->oneof_decl(0));
  if (set != nullptr) {
    CheckNumbers("optimizer." + set->name(), spec.GetReflection()->GetMessage(spec, set), checker);
  }
  const OptimizerSettings settings = ReadRule(spec, checker);
  // What only several fields together can break, such as limits in the wrong order.
  const Status together = Validate(settings);
  if (!together.ok() && set != nullptr && checker->violations().size() == violations) {
    checker->Add("optimizer." + set->name(), "{}", together.message());
  }
  return settings;
}

v1::OptimizerSpec WriteOptimizer(const OptimizerSettings& s, std::string_view preset) {
  v1::OptimizerSpec spec;
  switch (s.rule) {
    case Rule::kSgd:
      spec.mutable_sgd()->set_weight_decay(s.weight_decay);
      spec.mutable_sgd()->set_max_grad_norm(s.max_grad_norm);
      break;
    case Rule::kMomentum:
      spec.mutable_momentum()->set_momentum(s.momentum);
      spec.mutable_momentum()->set_dampening(s.dampening);
      spec.mutable_momentum()->set_weight_decay(s.weight_decay);
      spec.mutable_momentum()->set_max_grad_norm(s.max_grad_norm);
      break;
    case Rule::kAdam:
      *spec.mutable_adam() = WriteAdam(s);
      break;
    case Rule::kAdamW:
      *spec.mutable_adamw() = WriteAdam(s);
      break;
    case Rule::kLamb:
      *spec.mutable_lamb() = WriteLamb(s, preset);
      break;
  }
  return spec;
}

}  // namespace drover
