// Samples of BERT's pre-training from a token file: pairs of segments with masked tokens. A sample
// is a pure function of (text, sequence length, seed, reference), made anew whenever it is read.
// Immutable after construction: any thread may read.

#ifndef DROVER_WORKER_DATA_TEXT_DATASET_H_
#define DROVER_WORKER_DATA_TEXT_DATASET_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/file_system.h"
#include "common/base/status.h"
#include "common/text/token_text.h"
#include "worker/data/dataset.h"
#include "worker/data/masking.h"
#include "worker/data/sentence_pairs.h"

namespace drover {

// Tokens [CLS] A [SEP] B [SEP] and then [PAD], segments 0 for A and its frame, 1 for B and its
// [SEP], 0 for padding. Label 0: B follows A in the text; 1: it does not. Masked labels are the
// tokens that stood there. inputs stay empty.
//
// To train, split point, B and masks are drawn by the seed and the position in the endless row of
// samples, so that each data pass draws anew. For the test split they are drawn by the index alone:
// every evaluation of every job sees the same.
class TextDataset : public Dataset {
 public:
  // sequence_length: kSequenceLengthMin to kSequenceLengthMax. Errors of SentencePairs::Make.
  static Result<std::unique_ptr<TextDataset>> Make(TokenText text, int32_t sequence_length,
                                                   Split split, uint64_t seed);

  uint64_t size() const override { return pairs_->size(); }
  const SampleShape& shape() const override { return shape_; }
  uint64_t fingerprint() const override { return fingerprint_; }
  void Read(std::span<const SampleRef> samples, SampleBuffers* out) const override;

  const TokenText& text() const { return text_; }

 private:
  TextDataset(TokenText text, int32_t sequence_length, Split split, uint64_t seed);
  void ReadOne(const SampleRef& sample, size_t row, SampleBuffers* out) const;

  const TokenText text_;
  const size_t sequence_length_;
  const Split split_;
  const uint64_t key_;  // Of Philox.
  const Masker masker_;
  const SampleShape shape_;
  const uint64_t fingerprint_;
  std::unique_ptr<const SentencePairs> pairs_;  // Of text_.
};

// train.tokens or test.tokens of a folder that "drover data tokenize" made. Errors of ReadTokenFile
// and TextDataset::Make, with the path.
Result<std::unique_ptr<TextDataset>> OpenTextDataset(FileSystem& fs, const std::string& directory,
                                                     int32_t sequence_length, Split split,
                                                     uint64_t seed);

}  // namespace drover

#endif  // DROVER_WORKER_DATA_TEXT_DATASET_H_
