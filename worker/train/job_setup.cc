#include "worker/train/job_setup.h"

#include <fmt/format.h>

#include <utility>

#include "worker/data/idx_file.h"
#include "worker/data/synthetic.h"
#include "worker/train/network_proto.h"

namespace drover {
namespace {

using DatasetResult = Result<std::shared_ptr<const Dataset>>;

DatasetResult OpenSplit(const v1::DatasetSpec& spec, Split split) {
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
  DatasetResult train = OpenSplit(spec.dataset(), Split::kTrain);
  if (!train.ok()) return train.status();
  DatasetResult test = OpenSplit(spec.dataset(), Split::kTest);
  if (!test.ok()) return test.status();
  setup.train = std::move(train).value();
  setup.test = std::move(test).value();
  Result<NetworkSpec> network = NetworkOf(spec.model(), setup.train->shape());
  if (!network.ok()) return network.status();
  setup.network = std::move(network).value();
  return setup;
}

}  // namespace drover
