#include "worker/train/job_setup.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/file_system.h"
#include "worker/data/idx_file.h"
#include "worker/data/synthetic.h"
#include "worker/data/text_dataset.h"
#include "worker/train/network_proto.h"

namespace drover {
namespace {

using DatasetResult = Result<std::shared_ptr<const Dataset>>;

constexpr int64_t kSequenceLengthDefault = 128;

DatasetResult OpenText(const v1::TextDataset& spec, Split split, uint64_t seed) {
  const int64_t length =
      spec.has_sequence_length() ? spec.sequence_length() : kSequenceLengthDefault;
  if (length < kSequenceLengthMin || length > kSequenceLengthMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("dataset.text.sequence_length={}: expected {} to {}", length,
                              kSequenceLengthMin, kSequenceLengthMax));
  }
  Result<std::unique_ptr<TextDataset>> text =
      OpenTextDataset(FileSystem::Real(), spec.path(), static_cast<int32_t>(length), split, seed);
  if (!text.ok()) return text.status();
  return std::shared_ptr<const Dataset>(std::move(text).value());
}

// seed: the job's, from which a text draws its masks.
DatasetResult OpenSplit(const v1::DatasetSpec& spec, Split split, uint64_t seed) {
  switch (spec.source_case()) {
    case v1::DatasetSpec::kIdx: {
      const PixelScale scale = {spec.idx().mean(), spec.idx().has_std() ? spec.idx().std() : 1.0};
      Result<std::unique_ptr<ImageDataset>> images =
          OpenIdxDataset(spec.idx().path(), split, scale);
      if (!images.ok()) return images.status();
      return std::shared_ptr<const Dataset>(std::move(images).value());
    }
    case v1::DatasetSpec::kSyntheticDigits: {
      const uint64_t size = split == Split::kTrain ? kSyntheticTrainSize : kSyntheticTestSize;
      Result<std::unique_ptr<ImageDataset>> images =
          MakeSyntheticDataset(spec.synthetic_digits().seed(), split, size);
      if (!images.ok()) return images.status();
      return std::shared_ptr<const Dataset>(std::move(images).value());
    }
    case v1::DatasetSpec::kText:
      return OpenText(spec.text(), split, seed);
    case v1::DatasetSpec::SOURCE_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument, "dataset: this worker does not know the job's source");
}

}  // namespace

Result<JobSetup> SetUpJob(const v1::JobSpec& spec) {
  JobSetup setup;
  setup.batch = spec.batch();
  setup.leaves = static_cast<uint32_t>(spec.leaves());
  setup.micro_batch = spec.micro_batch();
  setup.seed = spec.seed();
  setup.fraction_bits = static_cast<int>(spec.numerics().fraction_bits());
  if (setup.batch < 1 || setup.leaves < 1 || setup.micro_batch < 1 ||
      setup.batch % (setup.leaves * setup.micro_batch) != 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("batch={} leaves={} micro_batch={}: expected a batch of whole "
                              "micro-batches in each leaf",
                              setup.batch, setup.leaves, setup.micro_batch));
  }
  DatasetResult train = OpenSplit(spec.dataset(), Split::kTrain, setup.seed);
  if (!train.ok()) return train.status();
  DatasetResult test = OpenSplit(spec.dataset(), Split::kTest, setup.seed);
  if (!test.ok()) return test.status();
  setup.train = std::move(train).value();
  setup.test = std::move(test).value();
  Result<NetworkSpec> network = NetworkOf(spec.model(), setup.train->shape());
  if (!network.ok()) return network.status();
  setup.network = std::move(network).value();
  return setup;
}

}  // namespace drover
