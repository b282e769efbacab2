// What Hugging Face's transformers must know besides the weights to load a BERT: config.json. All
// of it but the number of heads is in the names and shapes of the tensors. Functions only;
// thread-safe.

#ifndef DROVER_SERVER_CLI_BERT_CONFIG_H_
#define DROVER_SERVER_CLI_BERT_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/tensor/layout.h"

namespace drover {

struct BertConfig {
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t positions = 0;
  int64_t segments = 0;
  int64_t vocabulary = 0;

  friend bool operator==(const BertConfig&, const BertConfig&) = default;
};

// Nothing when the tensors are not those of a BertForPreTraining.
std::optional<BertConfig> BertConfigOf(const std::vector<TensorSpec>& tensors);

// 64 values per head, as in all published sizes; 0 when the hidden size is no multiple.
int64_t CustomaryHeads(const BertConfig& config);

// The text of config.json. heads: a divisor of the hidden size.
std::string RenderBertConfig(const BertConfig& config, int64_t heads, double dropout);

}  // namespace drover

#endif  // DROVER_SERVER_CLI_BERT_CONFIG_H_
