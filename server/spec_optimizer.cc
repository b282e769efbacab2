#include <fmt/ranges.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>

#include "common/base/quote.h"
#include "server/spec_checker.h"

namespace drover {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Larger numbers would be infinite, or drown everything, once rounded to float32.
constexpr double kNumberMax = 1e30;
constexpr double kEpsMin = 1e-30;
constexpr size_t kExclusionsMax = 64;
constexpr size_t kExclusionBytesMax = 200;
constexpr int kGroupsMax = 64;
constexpr int64_t kLookaheadEveryMax = int64_t{1} << 31;

bool IsNotNegative(double value) { return value >= 0.0 && value <= kNumberMax; }

void CheckNumber(const std::string& path, const std::string& name, double value,
                 SpecChecker* checker) {
  if (name == "beta1" || name == "beta2" || name == "momentum" || name == "alpha") {
    checker->Holds(path, value, value >= 0.0 && value < 1.0, "0 <= " + name + " < 1");
  } else if (name == "dampening") {
    checker->Holds(path, value, value >= 0.0 && value <= 1.0, "0 <= dampening <= 1");
  } else if (name == "eps") {
    checker->Holds(path, value, value >= kEpsMin && value <= 1.0, "1e-30 <= eps <= 1");
  } else if (name == "phi_max" || name == "ratio_max") {
    checker->Holds(path, value, value > 0.0, "a number > 0; leave it out for no limit");
  } else if (name == "gamma" || name == "base_learning_rate") {
    checker->Holds(path, value, value >= kAdaBoundMin && value <= kNumberMax,
                   "1e-12 <= " + name + " <= 1e30");
  } else if (name == "final_lr" || name == "trust_coefficient") {
    checker->Holds(path, value, value > 0.0 && value <= kNumberMax, "0 < " + name + " <= 1e30");
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

std::vector<std::string> ReadNames(const std::string& path, const Message& rule,
                                   const FieldDescriptor* field, std::vector<std::string> absent,
                                   SpecChecker* checker) {
  std::vector<std::string> list;
  for (int i = 0; i < rule.GetReflection()->FieldSize(rule, field); ++i) {
    list.push_back(rule.GetReflection()->GetRepeatedString(rule, field, i));
  }
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
  return list;
}

void WriteNames(const std::vector<std::string>& names, const FieldDescriptor* field,
                Message* rule) {
  rule->GetReflection()->ClearField(rule, field);
  for (const std::string& name : names) rule->GetReflection()->AddString(rule, field, name);
  if (names.empty()) rule->GetReflection()->AddString(rule, field, "none");
}

// Takes over what is set in the message of a rule: numbers and lists, by the names of their fields.
void ReadFields(const std::string& path, const Message& rule, OptimizerSettings* settings,
                SpecChecker* checker) {
  const google::protobuf::Reflection& reflection = *rule.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(rule, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string& name = field->name();
    if (const NumberSetting* number = FindNumberSetting(name)) {
      settings->*number->field = reflection.GetDouble(rule, field);
    } else if (name == "no_decay") {
      settings->no_decay = ReadNames(path + "." + name, rule, field, settings->no_decay, checker);
    }
  }
}

// The way back, every default filled in.
void WriteFields(const OptimizerSettings& settings, Message* rule) {
  const google::protobuf::Reflection& reflection = *rule->GetReflection();
  const google::protobuf::Descriptor& type = *rule->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (const NumberSetting* number = FindNumberSetting(field->name())) {
      reflection.SetDouble(rule, field, settings.*number->field);
    } else if (field->name() == "no_decay" || field->name() == "no_adapt") {
      WriteNames(field->name() == "no_decay" ? settings.no_decay : settings.no_adapt, field, rule);
    }
  }
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
  ReadFields(path, lamb, &settings, checker);
  ReadLambModes(lamb, &settings);
  if (adapt_follows_decay) settings.no_adapt = settings.no_decay;
  settings.no_adapt =
      ReadNames(path + ".no_adapt", lamb, lamb.GetDescriptor()->FindFieldByName("no_adapt"),
                settings.no_adapt, checker);
  return settings;
}

v1::Lamb WriteLamb(const OptimizerSettings& s, std::string_view preset) {
  v1::Lamb lamb;
  lamb.set_preset(preset.empty() ? "tfa" : std::string(preset));
  WriteFields(s, &lamb);
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
  return lamb;
}

// What ReadFields does not: switches, and the list that follows another.
void ReadLars(const v1::Lars& lars, OptimizerSettings* settings, SpecChecker* checker) {
  settings->nesterov = lars.nesterov();
  if (lars.always_adapt()) settings->adapt = Adapt::kAlways;
  settings->no_adapt =
      ReadNames("optimizer.lars.no_adapt", lars, lars.GetDescriptor()->FindFieldByName("no_adapt"),
                settings->no_decay, checker);
}

void ReadLookahead(const v1::Lookahead& lookahead, OptimizerSettings* settings,
                   SpecChecker* checker) {
  settings->lookahead_every = lookahead.has_k() ? lookahead.k() : 5;
  if (lookahead.has_alpha()) settings->lookahead_alpha = lookahead.alpha();
  checker->InRange("optimizer.lookahead.k", settings->lookahead_every, 1, kLookaheadEveryMax);
  const double alpha = settings->lookahead_alpha;
  checker->Holds("optimizer.lookahead.alpha", alpha, alpha >= 0.0 && alpha <= 1.0,
                 "0 <= alpha <= 1");
}

// One group; `chosen` is the rule's message.
void ReadGroup(const std::string& path, const v1::ParameterGroup& group,
               const FieldDescriptor& chosen, Rule rule, OptimizerSettings* settings,
               SpecChecker* checker) {
  Result<NamePattern> match = NamePattern::Compile(group.match());
  if (!match.ok()) return checker->Add(path + ".match", "{}", match.status().message());
  const bool decays = group.has_decay() || group.has_weight_decay();
  if (!decays && !group.has_adapt() && !group.has_learning_rate_scale()) {
    return checker->Add(path,
                        "sets nothing for {}, expected decay, weight_decay, adapt or "
                        "learning_rate_scale",
                        Quote(group.match()));
  }
  if (decays && chosen.message_type()->FindFieldByName("weight_decay") == nullptr) {
    checker->Add(path, "is about weight decay, which rule {} has not", chosen.name());
  }
  if (group.has_adapt() && !InfoOf(rule).trust_ratio) {
    checker->Add(path + ".adapt", "is set, but rule {} has no trust ratio", chosen.name());
  }
  if (group.has_decay() && !group.decay() && group.weight_decay() != 0.0) {
    checker->Add(path, "has decay: false and a weight_decay, expected one of them");
  }
  ParameterGroup read{std::move(match).value(), {}, {}, {}, 1.0};
  if (group.has_decay()) read.decay = group.decay();
  if (group.has_adapt()) read.adapt = group.adapt();
  if (group.has_weight_decay()) {
    read.weight_decay = group.weight_decay();
    CheckNumber(path + ".weight_decay", "weight_decay", group.weight_decay(), checker);
  }
  if (group.has_learning_rate_scale()) {
    read.learning_rate_scale = group.learning_rate_scale();
    CheckNumber(path + ".learning_rate_scale", "learning_rate_scale", read.learning_rate_scale,
                checker);
  }
  settings->groups.push_back(std::move(read));
}

void WriteGroups(const std::vector<ParameterGroup>& groups, v1::OptimizerSpec* spec) {
  for (const ParameterGroup& group : groups) {
    v1::ParameterGroup& out = *spec->add_groups();
    out.set_match(group.match.text());
    if (group.decay) out.set_decay(*group.decay);
    if (group.weight_decay) out.set_weight_decay(*group.weight_decay);
    if (group.adapt) out.set_adapt(*group.adapt);
    out.set_learning_rate_scale(group.learning_rate_scale);
  }
}

// The row of the rule table that the message of a rule stands for.
Rule RuleOf(const v1::OptimizerSpec& spec) {
  switch (spec.rule_case()) {
    case v1::OptimizerSpec::kSgd:
      return Rule::kSgd;
    case v1::OptimizerSpec::kMomentum:
      return Rule::kMomentum;
    case v1::OptimizerSpec::kMomentumClassic:
      return Rule::kMomentumClassic;
    case v1::OptimizerSpec::kNag:
      return Rule::kNag;
    case v1::OptimizerSpec::kNagClassic:
      return Rule::kNagClassic;
    case v1::OptimizerSpec::kAdagrad:
      return Rule::kAdagrad;
    case v1::OptimizerSpec::kRmsprop:
      return RmsPropRule(spec.rmsprop().centered(), spec.rmsprop().momentum());
    case v1::OptimizerSpec::kAdam:
      return spec.adam().amsgrad() ? Rule::kAmsGrad : Rule::kAdam;
    case v1::OptimizerSpec::kAdamw:
      return spec.adamw().amsgrad() ? Rule::kAmsGradW : Rule::kAdamW;
    case v1::OptimizerSpec::kRadam:
      return Rule::kRAdam;
    case v1::OptimizerSpec::kNadam:
      return Rule::kNAdam;
    case v1::OptimizerSpec::kLion:
      return Rule::kLion;
    case v1::OptimizerSpec::kAdabound:
      return Rule::kAdaBound;
    case v1::OptimizerSpec::kLamb:
      return Rule::kLamb;
    case v1::OptimizerSpec::kLars:
      return Rule::kLars;
    case v1::OptimizerSpec::RULE_NOT_SET:
      break;
  }
  return Rule::kSgd;
}

// The message of a rule, chosen in `spec`.
Message* MutableRule(Rule rule, v1::OptimizerSpec* spec) {
  switch (rule) {
    case Rule::kSgd:
      return spec->mutable_sgd();
    case Rule::kMomentum:
      return spec->mutable_momentum();
    case Rule::kMomentumClassic:
      return spec->mutable_momentum_classic();
    case Rule::kNag:
      return spec->mutable_nag();
    case Rule::kNagClassic:
      return spec->mutable_nag_classic();
    case Rule::kAdagrad:
      return spec->mutable_adagrad();
    case Rule::kRmsPropCentered:
    case Rule::kRmsPropCenteredMomentum:
      spec->mutable_rmsprop()->set_centered(true);
      return spec->mutable_rmsprop();
    case Rule::kRmsProp:
    case Rule::kRmsPropMomentum:
      return spec->mutable_rmsprop();
    case Rule::kAmsGrad:
      spec->mutable_adam()->set_amsgrad(true);
      return spec->mutable_adam();
    case Rule::kAdam:
      return spec->mutable_adam();
    case Rule::kAmsGradW:
      spec->mutable_adamw()->set_amsgrad(true);
      return spec->mutable_adamw();
    case Rule::kAdamW:
      return spec->mutable_adamw();
    case Rule::kRAdam:
      return spec->mutable_radam();
    case Rule::kNAdam:
      return spec->mutable_nadam();
    case Rule::kLion:
      return spec->mutable_lion();
    case Rule::kAdaBound:
      return spec->mutable_adabound();
    case Rule::kLamb:
      return spec->mutable_lamb();
    case Rule::kLars:
      return spec->mutable_lars();
  }
  return nullptr;  // Not reached: the switch is complete.
}

std::vector<std::string> RuleNames() {
  std::vector<std::string> names;
  const google::protobuf::OneofDescriptor& rules = *v1::OptimizerSpec::descriptor()->oneof_decl(0);
  for (int i = 0; i < rules.field_count(); ++i) names.push_back(rules.field(i)->name());
  return names;
}

const FieldDescriptor* ChosenRule(const v1::OptimizerSpec& spec) {
  return spec.GetReflection()->GetOneofFieldDescriptor(spec, spec.GetDescriptor()->oneof_decl(0));
}

// What the fields of the rule say, each in range or already in `checker`.
OptimizerSettings ReadRule(const v1::OptimizerSpec& spec, SpecChecker* checker) {
  const FieldDescriptor* const chosen = ChosenRule(spec);
  if (chosen == nullptr) {
    checker->Add("optimizer", "is missing, expected one of {}", fmt::join(RuleNames(), ", "));
    return {};
  }
  if (spec.has_lamb()) return ReadLamb(spec.lamb(), checker);
  OptimizerSettings settings = DefaultSettings(RuleOf(spec));
  ReadFields("optimizer." + chosen->name(), spec.GetReflection()->GetMessage(spec, chosen),
             &settings, checker);
  if (spec.has_lars()) ReadLars(spec.lars(), &settings, checker);
  return settings;
}

}  // namespace

OptimizerSettings ReadOptimizer(const v1::OptimizerSpec& spec, SpecChecker* checker) {
  const size_t violations = checker->violations().size();
  const FieldDescriptor* const set = ChosenRule(spec);
  if (set != nullptr) {
    CheckNumbers("optimizer." + set->name(), spec.GetReflection()->GetMessage(spec, set), checker);
  }
  OptimizerSettings settings = ReadRule(spec, checker);
  if (spec.has_lookahead()) ReadLookahead(spec.lookahead(), &settings, checker);
  checker->InRange("optimizer.groups", spec.groups_size(), 0, kGroupsMax);
  for (int i = 0; set != nullptr && i < std::min(spec.groups_size(), kGroupsMax); ++i) {
    ReadGroup(fmt::format("optimizer.groups[{}]", i), spec.groups(i), *set, settings.rule,
              &settings, checker);
  }
  // What only several fields together can break, such as limits in the wrong order.
  const Status together = Validate(settings);
  if (!together.ok() && set != nullptr && checker->violations().size() == violations) {
    checker->Add("optimizer." + set->name(), "{}", together.message());
  }
  return settings;
}

v1::OptimizerSpec WriteOptimizer(const OptimizerSettings& s, std::string_view preset) {
  v1::OptimizerSpec spec;
  if (s.rule == Rule::kLamb) {
    *spec.mutable_lamb() = WriteLamb(s, preset);
  } else {
    WriteFields(s, MutableRule(s.rule, &spec));
    if (s.rule == Rule::kLars) {
      spec.mutable_lars()->set_nesterov(s.nesterov);
      spec.mutable_lars()->set_always_adapt(s.adapt == Adapt::kAlways);
    }
  }
  WriteGroups(s.groups, &spec);
  if (s.lookahead_every != 0) {
    spec.mutable_lookahead()->set_k(s.lookahead_every);
    spec.mutable_lookahead()->set_alpha(s.lookahead_alpha);
  }
  return spec;
}

}  // namespace drover
