#include "server/cli/wire_bench.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/clock.h"
#include "common/base/cpu_features.h"
#include "common/base/file_system.h"
#include "server/cli/wire_grpc.h"
#include "server/cli/wire_load.h"
#include "server/cli/wire_tcp.h"
#include "server/cli/wire_tls.h"

namespace drover {
namespace {

// Weights, next weights, two moments in float32, and the accumulator, whose front half becomes the
// mean gradient.
constexpr double kShardBytesPerParameter = 4 + 4 + 4 + 4 + 8;

struct Sample {
  double seconds = 0;
  double cpu_seconds = 0;  // Of this process: both ends.
};

struct Row {
  int64_t bytes;
  int channels;
  WireDirection direction;
  int64_t moved_bytes;
  std::vector<Sample> ours;
  std::vector<Sample> tls;  // Ours, over mutual TLS.
  std::vector<Sample> twin;
};

const char* DirectionName(WireDirection direction) {
  switch (direction) {
    case WireDirection::kPush:
      return "push";
    case WireDirection::kPull:
      return "pull";
    case WireDirection::kBoth:
      return "push+pull";
  }
  return "unknown";
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double MedianSeconds(const std::vector<Sample>& samples) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.seconds);
  return Median(values);
}

double MedianCpuSeconds(const std::vector<Sample>& samples) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.cpu_seconds);
  return Median(values);
}

// The speed of `fast` over that of `slow`. Each run is compared with the run beside it, so that
// what else the machine does weighs on both.
double MedianRatio(const std::vector<Sample>& fast, const std::vector<Sample>& slow) {
  std::vector<double> ratios;
  for (size_t i = 0; i < fast.size(); ++i) ratios.push_back(slow[i].seconds / fast[i].seconds);
  return Median(ratios);
}

Result<Sample> Time(WireTransport* transport, WireDirection direction) {
  const double cpu = CpuSeconds();
  const Instant begin = Clock::Real().Now();
  DROVER_RETURN_IF_ERROR(transport->Run(direction));
  return Sample{Seconds(Clock::Real().Now() - begin), CpuSeconds() - cpu};
}

// All move and compute the same before anything is timed.
Status Check(const WireLoad& load, WireTransport* ours, WireTransport* tls, WireTransport* twin) {
  for (WireTransport* transport : {ours, tls, twin}) {
    DROVER_RETURN_IF_ERROR(transport->Run(WireDirection::kBoth));
    const std::span<const float> pulled = transport->pulled();
    if (!std::equal(pulled.begin(), pulled.end(), load.all_weights().begin())) {
      return Status(Code::kInternal, "bench wire: pulled weights are not those published");
    }
  }
  // The same blocks, added in chunks or one by one: a last bit may differ.
  const double difference = ours->gradient_squares() - twin->gradient_squares();
  if (!(std::abs(difference) <= 1e-12 * twin->gradient_squares())) {
    return Status(Code::kInternal, "bench wire: ours and the twin did not compute the same mean");
  }
  return Status();
}

Status Measure(const WireBenchOptions& options, const WireTls& certificates, int64_t bytes,
               int channels, std::vector<Row>* rows) {
  const WireLoad load(bytes);
  Result<std::unique_ptr<WireTransport>> ours = MakeGrpcTransport(&load, nullptr, channels);
  if (!ours.ok()) return ours.status();
  Result<std::unique_ptr<WireTransport>> tls = MakeGrpcTransport(&load, &certificates, channels);
  if (!tls.ok()) return tls.status();
  Result<std::unique_ptr<WireTransport>> twin = MakeTcpTransport(&load, channels);
  if (!twin.ok()) return twin.status();
  DROVER_RETURN_IF_ERROR(Check(load, ours.value().get(), tls.value().get(), twin.value().get()));

  for (const auto direction : {WireDirection::kPush, WireDirection::kPull, WireDirection::kBoth}) {
    Row row = {bytes, channels, direction, 0, {}, {}, {}};
    row.moved_bytes = bytes * kWireLeaves * (direction == WireDirection::kBoth ? 2 : 1);
    for (int repeat = 0; repeat < options.repeats; ++repeat) {
      for (const auto& [transport, samples] :
           {std::pair(ours.value().get(), &row.ours), std::pair(tls.value().get(), &row.tls),
            std::pair(twin.value().get(), &row.twin)}) {
        const Result<Sample> sample = Time(transport, direction);
        if (!sample.ok()) return sample.status();
        samples->push_back(sample.value());
      }
    }
    rows->push_back(std::move(row));
  }
  return Status();
}

nlohmann::json ToJson(const Row& row) {
  const double gigabytes = static_cast<double>(row.moved_bytes) * 1e-9;
  return {{"bytes", row.bytes},
          {"channels", row.channels},
          {"direction", DirectionName(row.direction)},
          {"gb_per_s", gigabytes / MedianSeconds(row.ours)},
          {"tls_gb_per_s", gigabytes / MedianSeconds(row.tls)},
          {"tcp_gb_per_s", gigabytes / MedianSeconds(row.twin)},
          {"ratio", MedianRatio(row.ours, row.twin)},
          {"tls_ratio", MedianRatio(row.tls, row.ours)},
          {"cpu_s_per_gb", MedianCpuSeconds(row.ours) / gigabytes},
          {"tls_cpu_s_per_gb", MedianCpuSeconds(row.tls) / gigabytes},
          {"tcp_cpu_s_per_gb", MedianCpuSeconds(row.twin) / gigabytes},
          {"repeats", row.ours.size()}};
}

Status WriteFile(const std::string& path, const std::string& text) {
  Result<std::unique_ptr<WritableFile>> file = FileSystem::Real().Create(path, text.size());
  if (!file.ok()) return file.status();
  DROVER_RETURN_IF_ERROR(file.value()->Append(text.data(), text.size()));
  return file.value()->Close();
}

}  // namespace

Status RunWireBench(const WireBenchOptions& options) {
  const Result<std::unique_ptr<WireTls>> certificates = WireTls::Make();
  if (!certificates.ok()) return certificates.status().Annotate("bench wire");
  std::vector<Row> rows;
  fmt::print("ratio: of TCP; of plain: TLS beside plain text. CPU: seconds per GB, both ends\n");
  fmt::print("{:>6} {:>8} {:<10} {:>6} {:>8} {:>6} {:>8} {:>8} {:>6} {:>7} {:>7}\n", "MiB",
             "channels", "direction", "GB/s", "TCP GB/s", "ratio", "TLS GB/s", "of plain", "CPU",
             "TLS CPU", "TCP CPU");
  for (const int64_t bytes : options.sizes_bytes) {
    for (const int channels : options.channels) {
      const size_t first = rows.size();
      DROVER_RETURN_IF_ERROR(Measure(options, *certificates.value(), bytes, channels, &rows));
      for (size_t i = first; i < rows.size(); ++i) {
        const nlohmann::json row = ToJson(rows[i]);
        fmt::print(
            "{:>6} {:>8} {:<10} {:>6.2f} {:>8.2f} {:>6.2f} {:>8.2f} {:>8.2f} {:>6.2f} {:>7.2f} "
            "{:>7.2f}\n",
            bytes >> 20, channels, DirectionName(rows[i].direction), row["gb_per_s"].get<double>(),
            row["tcp_gb_per_s"].get<double>(), row["ratio"].get<double>(),
            row["tls_gb_per_s"].get<double>(), row["tls_ratio"].get<double>(),
            row["cpu_s_per_gb"].get<double>(), row["tls_cpu_s_per_gb"].get<double>(),
            row["tcp_cpu_s_per_gb"].get<double>());
        std::fflush(stdout);
      }
    }
  }
  // Frames that a connection may hold on the shard's side: being received, summed and answered.
  const int64_t buffered = int64_t{kWireWindow} * (4 << 20);
  fmt::print(
      "shard memory: {:.0f} bytes per parameter (w, next w, m, v: 4 each; sums and mean "
      "gradient: 8) + at most {} MiB of frames per connection\n",
      kShardBytesPerParameter, buffered >> 20);
  if (options.json_path.empty()) return Status();
  nlohmann::json report = {{"benchmark", "wire"},
                           {"isa", IsaName(BestIsa())},
                           {"leaves", kWireLeaves},
                           {"shard_bytes_per_parameter", kShardBytesPerParameter},
                           {"frames_bytes_per_connection_max", buffered},
                           {"rows", nlohmann::json::array()}};
  for (const Row& row : rows) report["rows"].push_back(ToJson(row));
  return WriteFile(options.json_path, report.dump(2) + "\n").Annotate("bench wire");
}

}  // namespace drover
