#include "server/spec_checker.h"

namespace drover {
namespace {

constexpr int64_t kBertLayersMax = 128;
constexpr int64_t kHiddenMax = 16384;
constexpr int64_t kIntermediateMax = 65536;
constexpr int64_t kPositionsDefault = 512;
constexpr double kBertDropoutDefault = 0.1;

struct Sizes {
  int64_t layers;
  int64_t hidden;
  int64_t heads;
};

// Tiny and mini: Turc et al. 2019, arXiv:1908.08962. Base and large: Devlin et al. 2018,
// arXiv:1810.04805.
Sizes SizesOf(v1::Bert::Size size) {
  switch (size) {
    case v1::Bert::SIZE_TINY:
      return {2, 128, 2};
    case v1::Bert::SIZE_MINI:
      return {4, 256, 4};
    case v1::Bert::SIZE_BASE:
      return {12, 768, 12};
    case v1::Bert::SIZE_LARGE:
      return {24, 1024, 16};
    default:  // Not given, or of a newer version: found by the checks.
      return {0, 0, 0};
  }
}

}  // namespace

void WriteBert(v1::Bert* bert) {
  const Sizes sizes = SizesOf(bert->size());
  if (bert->layers() == 0) bert->set_layers(sizes.layers);
  if (bert->hidden() == 0) bert->set_hidden(sizes.hidden);
  if (bert->heads() == 0) bert->set_heads(sizes.heads);
  if (bert->intermediate() == 0 && bert->hidden() <= kHiddenMax) {
    bert->set_intermediate(4 * bert->hidden());
  }
  if (bert->positions() == 0) bert->set_positions(kPositionsDefault);
  if (bert->vocabulary_multiple() == 0) bert->set_vocabulary_multiple(1);
  if (!bert->has_dropout()) bert->set_dropout(kBertDropoutDefault);
}

void CheckBert(const v1::Bert& spec, const v1::DatasetSpec& dataset, SpecChecker* checker) {
  if (spec.size() == v1::Bert::SIZE_UNSPECIFIED) {
    checker->Add("model.bert.size", "is missing, expected one of tiny, mini, base, large");
    return;
  }
  v1::Bert bert = spec;
  WriteBert(&bert);
  checker->InRange("model.bert.layers", bert.layers(), 1, kBertLayersMax);
  const bool hidden_fits = checker->InRange("model.bert.hidden", bert.hidden(), 1, kHiddenMax);
  if (bert.heads() < 1 || (hidden_fits && bert.hidden() % bert.heads() != 0)) {
    checker->Add("model.bert.heads", "is {}, expected a divisor of hidden ({})", bert.heads(),
                 bert.hidden());
  }
  checker->InRange("model.bert.intermediate", bert.intermediate(), 1, kIntermediateMax);
  checker->InRange("model.bert.vocabulary_multiple", bert.vocabulary_multiple(), 1, kMultipleMax);
  checker->Holds("model.bert.dropout", bert.dropout(), bert.dropout() >= 0 && bert.dropout() < 1,
                 "0 to below 1");
  checker->InRange("model.bert.positions", bert.positions(), 1, kPositionsMax);
  if (dataset.has_idx() || dataset.has_synthetic_digits()) {
    checker->Add("dataset", "gives images, and a bert reads text; expected text");
  } else if (bert.positions() < dataset.text().sequence_length()) {
    checker->Add("model.bert.positions",
                 "is {}, expected at least dataset.text.sequence_length ({})", bert.positions(),
                 dataset.text().sequence_length());
  }
}

}  // namespace drover
