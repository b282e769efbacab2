#include "server/cli/optimizer_bench.h"

#include <fmt/format.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/clock.h"
#include "common/base/cpu_features.h"
#include "common/base/thread.h"
#include "common/tensor/layout.h"
#include "server/optim/settings.h"
#include "server/optim/step_scalars.h"
#include "server/optim/update.h"

namespace drover {
namespace {

// Weight, gradient, the slots of the rule that has most, next weight.
constexpr size_t kWeight = 0;
constexpr size_t kGradient = 1;
constexpr size_t kFirstSlot = 2;
constexpr size_t kNext = kFirstSlot + kSlotsMax;
constexpr size_t kArrays = kNext + 1;
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr int64_t kParametersMax = int64_t{1} << 36;
constexpr int kThreadsMax = 1024;
constexpr float kScale = 1e-3f;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

// kArrays arrays of float32 that do not begin at the same offset of a 4 KiB page: a load and a
// store with equal low address bits would be taken for the same address and wait for each other.
class Arrays {
 public:
  static Result<Arrays> Allocate(int64_t parameters) {
    const size_t array_bytes =
        (static_cast<size_t>(parameters) * sizeof(float) + 4095) / 4096 * 4096;
    const size_t bytes = ((array_bytes + kStagger) * kArrays / kHugePageBytes + 1) * kHugePageBytes;
    const double machine_bytes =
        static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    Arrays arrays;
    if (static_cast<double>(bytes) < 0.8 * machine_bytes) {
      arrays.memory_.reset(std::aligned_alloc(kHugePageBytes, bytes));
    }
    if (arrays.memory_ == nullptr) {
      return Status(Code::kResourceExhausted,
                    fmt::format("{} parameters take {} MiB, which this machine cannot give; "
                                "expected a smaller number of parameters",
                                parameters, bytes >> 20));
    }
    // Only speed depends on it, so a refusal does not matter.
    (void)madvise(arrays.memory_.get(), bytes, MADV_HUGEPAGE);
    char* memory = static_cast<char*>(arrays.memory_.get());
    for (size_t i = 0; i < kArrays; ++i) {
      arrays.array_[i] = reinterpret_cast<float*>(memory + i * (array_bytes + kStagger));
    }
    return arrays;
  }

  float* operator[](size_t index) const { return array_[index]; }

 private:
  static constexpr size_t kStagger = 832;  // Bytes, a multiple of 64 and no divisor of 4096.

  std::unique_ptr<void, FreeMemory> memory_;
  std::array<float*, kArrays> array_{};
};

// a[i] = b[i] and a[i] = b[i] + factor * c[i], past the caches as the passes write. `count` is a
// multiple of 16, all arrays are aligned to 16 bytes.
void StreamCopy(float* a, const float* b, size_t count) {
  for (size_t i = 0; i < count; i += 16) {
    for (size_t k = i; k < i + 16; k += 4) _mm_stream_ps(a + k, _mm_load_ps(b + k));
  }
  _mm_sfence();
}

void StreamTriad(float* a, const float* b, const float* c, size_t count) {
  const __m128 factor = _mm_set1_ps(kScale);
  for (size_t i = 0; i < count; i += 16) {
    for (size_t k = i; k < i + 16; k += 4) {
      const __m128 product = _mm_mul_ps(factor, _mm_load_ps(c + k));
      _mm_stream_ps(a + k, _mm_add_ps(_mm_load_ps(b + k), product));
    }
  }
  _mm_sfence();
}

BlockView BlockAt(const Arrays& arrays, size_t begin, size_t size) {
  BlockView block{};
  block.size = size;
  block.weight = arrays[kWeight] + begin;
  block.gradient = arrays[kGradient] + begin;
  for (size_t slot = 0; slot < kSlotsMax; ++slot) {
    block.slot[slot] = arrays[kFirstSlot + slot] + begin;
  }
  block.next_weight = arrays[kNext] + begin;
  return block;
}

StepScalars ScalarsOf(Rule rule) {
  const OptimizerSettings settings = DefaultSettings(rule);
  return ComputeStepScalars(settings, MakeGroup(settings, true, true), /*update=*/100,
                            /*learning_rate=*/1e-3, /*clip_factor=*/1.0);
}

// Numbers without a pattern that a prefetcher or a predictor could use, none of them denormal.
void Fill(const Arrays& arrays, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    const auto hash = static_cast<uint32_t>(i * 2654435761u);
    const float value = static_cast<float>(hash >> 8) * 0x1p-24f + 0.001f;
    const float gradient = (hash & 2) == 0 ? value * 0.01f : value * -0.01f;
    arrays[kWeight][i] = (hash & 1) == 0 ? value : -value;
    arrays[kGradient][i] = gradient;
    for (size_t slot = kFirstSlot; slot < kNext; ++slot) arrays[slot][i] = gradient * gradient;
    arrays[kNext][i] = 0.0f;
  }
}

// The fastest build against the plain one, on the first block.
Status CheckBits(const RuleInfo& info, size_t parameters) {
  const size_t size = std::min<size_t>(parameters, kBlockElements);
  const StepScalars s = ScalarsOf(info.rule);
  std::vector<Arrays> results;
  std::vector<BlockNorms> norms;
  for (const Isa isa : {Isa::kGeneric, BestIsa()}) {
    Result<Arrays> arrays = Arrays::Allocate(static_cast<int64_t>(size));
    if (!arrays.ok()) return arrays.status();
    Fill(arrays.value(), 0, size);
    const BlockView block = BlockAt(arrays.value(), 0, size);
    norms.push_back(CpuPassesFor(info.rule, isa).measure(s, block));
    CpuPassesFor(info.rule, isa).apply(s, block, kScale);
    results.push_back(std::move(arrays).value());
  }
  for (size_t array = kFirstSlot; array < kArrays; ++array) {
    for (size_t i = 0; i < size; ++i) {
      if (std::memcmp(results[0][array] + i, results[1][array] + i, sizeof(float)) != 0) {
        return Status(
            Code::kDataLoss,
            fmt::format("rule {}: element {} is {} by the generic build and {} by {}", info.name, i,
                        results[0][array][i], results[1][array][i], IsaName(BestIsa())));
      }
    }
  }
  if (std::memcmp(&norms[0], &norms[1], sizeof(BlockNorms)) != 0) {
    return Status(Code::kDataLoss, fmt::format("rule {}: norms differ between the generic build "
                                               "and {}",
                                               info.name, IsaName(BestIsa())));
  }
  return Status();
}

// Work on weights [begin, end).
using Work = std::function<void(size_t begin, size_t end)>;

// Splits [0, parameters) into whole blocks per thread and waits for all.
void RunOnThreads(int threads, size_t parameters, const Work& work) {
  const size_t blocks = (parameters + kBlockElements - 1) / kBlockElements;
  const auto count = static_cast<size_t>(threads);
  const auto part = [&](size_t index) {
    const size_t begin = blocks * index / count * kBlockElements;
    const size_t end = std::min(parameters, blocks * (index + 1) / count * kBlockElements);
    if (begin < end) work(begin, end);
  };
  std::vector<Thread> others;
  for (size_t index = 1; index < count; ++index) {
    others.emplace_back("bench", [&part, index] { part(index); });
  }
  part(0);
}

// One thing to time.
struct Item {
  std::string name;
  int bytes_per_parameter;
  Work work;
  double best_seconds = std::numeric_limits<double>::infinity();
};

// All items once per repetition and not one after the other, so that a busy neighbour of this
// machine slows all of them.
void TimeItems(const OptimizerBenchOptions& options, int threads, std::vector<Item>& items) {
  for (int64_t repetition = 0; repetition < options.repetitions; ++repetition) {
    for (Item& item : items) {
      const Instant start = Clock::Real().Now();
      RunOnThreads(threads, static_cast<size_t>(options.parameters), item.work);
      item.best_seconds = std::min(item.best_seconds, Seconds(Clock::Real().Now() - start));
    }
  }
}

// Both passes over all weights of a part: what leaves the caches between them is read again.
Work WorkOf(const RuleInfo& info, const Arrays& arrays) {
  return [&arrays, s = ScalarsOf(info.rule), passes = CpuPassesFor(info.rule),
          measures = info.trust_ratio](size_t begin, size_t end) {
    const auto each_block = [&](const auto& pass) {
      for (size_t at = begin; at < end; at += kBlockElements) {
        pass(BlockAt(arrays, at, std::min<size_t>(kBlockElements, end - at)));
      }
    };
    BlockNorms sum{0.0, 0.0};
    if (measures) {
      each_block(
          [&](const BlockView& block) { sum.direction += passes.measure(s, block).direction; });
    }
    // Squares are never negative: the norm is used only so that it cannot be left out.
    const float scale = sum.direction < 0.0 ? 0.0f : kScale;
    each_block([&](const BlockView& block) { passes.apply(s, block, scale); });
  };
}

int BytesPerParameter(const RuleInfo& info) {
  const int apply = 12 + 8 * info.slots;  // Reads w and g, writes w; reads and writes each slot.
  const int measure = 8 + (info.ratio_on_gradient ? 0 : 4 * info.slots);
  return info.trust_ratio ? measure + apply : apply;
}

// The triad, the copy and each rule. Parts begin at whole blocks, so triad and copy leave a rest of
// less than 16 weights out.
std::vector<Item> ItemsOn(const Arrays& arrays) {
  std::vector<Item> items;
  const auto triad = [&arrays](size_t begin, size_t end) {
    StreamTriad(arrays[kNext] + begin, arrays[kWeight] + begin, arrays[kGradient] + begin,
                (end - begin) / 16 * 16);
  };
  const auto copy = [&arrays](size_t begin, size_t end) {
    StreamCopy(arrays[kNext] + begin, arrays[kWeight] + begin, (end - begin) / 16 * 16);
  };
  items.push_back({"triad", 12, triad});
  items.push_back({"copy", 8, copy});
  for (const RuleInfo& info : kRules) {
    items.push_back({std::string(info.name), BytesPerParameter(info), WorkOf(info, arrays)});
  }
  return items;
}

Status ValidateOptions(const OptimizerBenchOptions& options) {
  if (options.parameters < 1 || options.parameters > kParametersMax) {
    return Status(Code::kInvalidArgument, fmt::format("{} parameters, expected 1 to {}",
                                                      options.parameters, kParametersMax));
  }
  if (options.repetitions < 1) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} repetitions, expected at least 1", options.repetitions));
  }
  for (const int threads : options.thread_counts) {
    if (threads < 1 || threads > kThreadsMax) {
      return Status(Code::kInvalidArgument,
                    fmt::format("{} threads, expected 1 to {}", threads, kThreadsMax));
    }
  }
  return Status();
}

}  // namespace

Result<std::vector<OptimizerBenchRow>> BenchOptimizers(const OptimizerBenchOptions& options) {
  DROVER_RETURN_IF_ERROR(ValidateOptions(options));
  for (const RuleInfo& info : kRules) {
    DROVER_RETURN_IF_ERROR(CheckBits(info, static_cast<size_t>(options.parameters)));
  }
  Result<Arrays> allocated = Arrays::Allocate(options.parameters);
  if (!allocated.ok()) return allocated.status();
  const Arrays& arrays = allocated.value();

  std::vector<int> thread_counts = options.thread_counts;
  if (thread_counts.empty()) thread_counts = {1, CoreCount()};
  thread_counts.erase(std::unique(thread_counts.begin(), thread_counts.end()), thread_counts.end());

  std::vector<OptimizerBenchRow> rows;
  for (const int threads : thread_counts) {
    RunOnThreads(threads, static_cast<size_t>(options.parameters),
                 [&](size_t begin, size_t end) { Fill(arrays, begin, end); });
    std::vector<Item> items = ItemsOn(arrays);
    TimeItems(options, threads, items);
    double triad_gb_per_second = 0.0;  // The triad is the first item.
    for (const Item& item : items) {
      const double ns = item.best_seconds * 1e9 / static_cast<double>(options.parameters);
      const double gb_per_second = item.bytes_per_parameter / ns;
      if (triad_gb_per_second == 0.0) triad_gb_per_second = gb_per_second;
      rows.push_back({item.name, threads, item.bytes_per_parameter, ns, gb_per_second,
                      gb_per_second / triad_gb_per_second});
    }
  }
  return rows;
}

std::string BenchToJson(const OptimizerBenchOptions& options,
                        const std::vector<OptimizerBenchRow>& rows) {
  nlohmann::ordered_json json = {{"benchmark", "optimizer"},
                                 {"isa", IsaName(BestIsa())},
                                 {"cores", CoreCount()},
                                 {"parameters", options.parameters},
                                 {"repetitions", options.repetitions},
                                 {"rows", nlohmann::ordered_json::array()}};
  for (const OptimizerBenchRow& row : rows) {
    json["rows"].push_back({{"name", row.name},
                            {"threads", row.threads},
                            {"bytes_per_parameter", row.bytes_per_parameter},
                            {"ns_per_parameter", row.ns_per_parameter},
                            {"gb_per_second", row.gb_per_second},
                            {"ratio", row.ratio}});
  }
  return json.dump(2) + "\n";
}

std::string BenchToTable(const std::vector<OptimizerBenchRow>& rows) {
  std::string table = fmt::format("{:<10} {:>7} {:>9} {:>9} {:>7} {:>9}\n", "name", "threads",
                                  "B/param", "ns/param", "GB/s", "of triad");
  for (const OptimizerBenchRow& row : rows) {
    table += fmt::format("{:<10} {:>7} {:>9} {:>9.3f} {:>7.1f} {:>8.0f}%\n", row.name, row.threads,
                         row.bytes_per_parameter, row.ns_per_parameter, row.gb_per_second,
                         100.0 * row.ratio);
  }
  return table;
}

}  // namespace drover
