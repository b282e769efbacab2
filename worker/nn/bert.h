// BERT as data (Devlin et al. 2018, arXiv:1810.04805): the encoder and the heads of pre-training,
// with the names of Hugging Face's BertForPreTraining, so that a checkpoint loads there unchanged.
// Functions only; thread-safe.

#ifndef DROVER_WORKER_NN_BERT_H_
#define DROVER_WORKER_NN_BERT_H_

#include <cstdint>

#include "worker/nn/network_spec.h"

namespace drover {

struct BertSizes {
  int64_t layers = 0;
  int64_t hidden = 0;        // Values per token.
  int64_t heads = 0;         // A divisor of hidden.
  int64_t intermediate = 0;  // Values per token inside the feed-forward block.
  int64_t positions = 512;   // At least the sequence length.
  int64_t vocabulary = 0;    // At least the dataset's.
  double dropout = 0.1;      // Of attention weights and of what blocks and embeddings make.
};

// tokens: the sequence length. predictions: masked tokens of one sample, at most.
NetworkSpec BertNetwork(const BertSizes& sizes, int64_t tokens, int64_t predictions);

}  // namespace drover

#endif  // DROVER_WORKER_NN_BERT_H_
