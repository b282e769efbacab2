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

DatasetResult OpenText(FileSystem& files, const v1::TextDataset& spec, Split split, uint64_t seed) {
  const int64_t length =
      spec.has_sequence_length() ? spec.sequence_length() : kSequenceLengthDefault;
  if (length < kSequenceLengthMin || length > kSequenceLengthMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("dataset.text.sequence_length={}: expected {} to {}", length,
                              kSequenceLengthMin, kSequenceLengthMax));
  }
  Result<std::unique_ptr<TextDataset>> text =
      OpenTextDataset(files, spec.path(), static_cast<int32_t>(length), split, seed);
  if (!text.ok()) return text.status();
  return std::shared_ptr<const Dataset>(std::move(text).value());
}

// seed: the job's, from which a text draws its masks.
DatasetResult OpenSplit(FileSystem& files, const v1::DatasetSpec& spec, Split split,
                        uint64_t seed) {
  switch (spec.source_case()) {
    case v1::DatasetSpec::kIdx: {
      const PixelScale scale = {spec.idx().mean(), spec.idx().has_std() ? spec.idx().std() : 1.0};
      Result<std::unique_ptr<ImageDataset>> images =
          OpenIdxDataset(files, spec.idx().path(), split, scale);
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
      return OpenText(files, spec.text(), split, seed);
    case v1::DatasetSpec::SOURCE_NOT_SET:
      break;
  }
  return Status(Code::kInvalidArgument, "dataset: this worker does not know the job's source");
}

std::string DatasetText(const v1::DatasetSpec& spec) {
  if (spec.has_idx()) return "idx " + spec.idx().path();
  if (spec.has_text()) return "text " + spec.text().path();
  return "synthetic_digits";
}

// A job without phases is one phase; `spec` has every default written out.
Result<std::vector<JobPhase>> PhasesOf(const v1::JobSpec& spec) {
  std::vector<v1::PhaseSpec> written(spec.phases().begin(), spec.phases().end());
  if (written.empty()) {
    written.emplace_back();
    written.back().set_batch(spec.batch());
    written.back().set_leaves(spec.leaves());
    written.back().set_micro_batch(spec.micro_batch());
  }
  std::vector<JobPhase> phases;
  JobPhase next;
  for (const v1::PhaseSpec& phase : written) {
    next.batch = phase.batch();
    next.leaves = static_cast<uint32_t>(phase.leaves());
    next.micro_batch = phase.micro_batch();
    if (phase.batch() < 1 || phase.leaves() < 1 || phase.micro_batch() < 1 ||
        phase.batch() % (phase.leaves() * phase.micro_batch()) != 0) {
      return Status(Code::kInvalidArgument,
                    fmt::format("batch={} leaves={} micro_batch={}: expected a batch of whole "
                                "micro-batches in each leaf",
                                phase.batch(), phase.leaves(), phase.micro_batch()));
    }
    phases.push_back(next);
    next.first_step += phase.steps();
    next.first_position += static_cast<uint64_t>(phase.steps() * phase.batch());
  }
  return phases;
}

// Phases whose sequences are of another length than the dataset's.
Status SetUpLengths(FileSystem& files, const v1::JobSpec& spec, JobSetup* setup) {
  for (int i = 0; i < spec.phases_size(); ++i) {
    if (!spec.phases(i).has_sequence_length()) continue;
    JobPhase& phase = setup->phases[static_cast<size_t>(i)];
    if (!spec.dataset().has_text()) {
      return Status(Code::kInvalidArgument,
                    fmt::format("phases[{}].sequence_length: the dataset is not text", i));
    }
    v1::DatasetSpec dataset = spec.dataset();
    dataset.mutable_text()->set_sequence_length(spec.phases(i).sequence_length());
    DatasetResult train = OpenSplit(files, dataset, Split::kTrain, setup->seed);
    if (!train.ok()) return train.status().Annotate(fmt::format("phases[{}]", i));
    phase.own_train = std::move(train).value();
    Result<NetworkSpec> network = NetworkOf(spec.model(), phase.own_train->shape());
    if (!network.ok()) return network.status().Annotate(fmt::format("phases[{}]", i));
    phase.own_network = std::make_shared<const NetworkSpec>(std::move(network).value());
  }
  return Status();
}

}  // namespace

Result<JobSetup> SetUpJob(const v1::JobSpec& spec) {
  return SetUpJobFrom(FileSystem::Real(), spec);
}

Result<JobSetup> SetUpJobFrom(FileSystem& files, const v1::JobSpec& spec) {
  JobSetup setup;
  Result<std::vector<JobPhase>> phases = PhasesOf(spec);
  if (!phases.ok()) return phases.status();
  setup.phases = std::move(phases).value();
  setup.seed = spec.seed();
  setup.precision =
      spec.precision() == v1::JobSpec::PRECISION_BF16 ? Precision::kBf16 : Precision::kF32;
  setup.fraction_bits = static_cast<int>(spec.numerics().fraction_bits());
  setup.recompute = spec.numerics().recompute();
  DatasetResult train = OpenSplit(files, spec.dataset(), Split::kTrain, setup.seed);
  if (!train.ok()) return train.status();
  DatasetResult test = OpenSplit(files, spec.dataset(), Split::kTest, setup.seed);
  if (!test.ok()) return test.status();
  setup.train = std::move(train).value();
  setup.test = std::move(test).value();
  setup.dataset = DatasetText(spec.dataset());
  Result<NetworkSpec> network = NetworkOf(spec.model(), setup.train->shape());
  if (!network.ok()) return network.status();
  setup.network = std::move(network).value();
  DROVER_RETURN_IF_ERROR(SetUpLengths(files, spec, &setup));
  return setup;
}

}  // namespace drover
