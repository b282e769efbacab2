#include "server/cli/wire_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/file_system.h"
#include "server/cli/wire_grpc.h"
#include "server/cli/wire_load.h"
#include "server/cli/wire_tcp.h"
#include "server/cli/wire_tls.h"

namespace drover {
namespace {

TEST(WireBenchTest, ReportsRatiosOfEveryCase) {
  WireBenchOptions options;
  options.sizes_bytes = {1 << 20};
  options.channels = {1, 2};
  options.repeats = 1;
  options.json_path = testing::TempDir() + "/wire_bench.json";

  const Status status = RunWireBench(options);

  ASSERT_TRUE(status.ok()) << status.ToString();
  const Result<std::string> text = FileSystem::Real().ReadWhole(options.json_path, 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  const auto report = nlohmann::json::parse(text.value(), nullptr, /*allow_exceptions=*/false);
  ASSERT_EQ(report["rows"].size(), 6u);  // Two counts of channels, three directions.
  for (const auto& row : report["rows"]) {
    EXPECT_GT(row["ratio"].get<double>(), 0.0);
    EXPECT_GT(row["gb_per_s"].get<double>(), 0.0);
    EXPECT_GT(row["tls_gb_per_s"].get<double>(), 0.0);
    EXPECT_GT(row["tls_ratio"].get<double>(), 0.0);
    EXPECT_EQ(row["bytes"].get<int64_t>(), 1 << 20);
  }
  EXPECT_EQ(report["shard_bytes_per_parameter"].get<double>(), 24.0);
}

TEST(WireBenchTest, AllWaysDoTheSameWork) {
  const WireLoad load(9 << 20);  // Three chunks over two channels, the last one short.
  auto ours = MakeGrpcTransport(&load, nullptr, 2);
  const auto certificates = WireTls::Make();
  ASSERT_TRUE(certificates.ok()) << certificates.status().ToString();
  auto tls = MakeGrpcTransport(&load, certificates.value().get(), 2);
  auto twin = MakeTcpTransport(&load, 2);
  ASSERT_TRUE(ours.ok() && tls.ok() && twin.ok());

  for (WireTransport* transport : {ours.value().get(), tls.value().get(), twin.value().get()}) {
    ASSERT_TRUE(transport->Run(WireDirection::kPush).ok());
    ASSERT_TRUE(transport->Run(WireDirection::kPull).ok());
    EXPECT_TRUE(std::equal(transport->pulled().begin(), transport->pulled().end(),
                           load.all_weights().begin(), load.all_weights().end()));
  }

  EXPECT_NEAR(ours.value()->gradient_squares(), twin.value()->gradient_squares(),
              1e-12 * twin.value()->gradient_squares());  // Added in another order.
  EXPECT_EQ(ours.value()->gradient_squares(), tls.value()->gradient_squares());
  EXPECT_GT(ours.value()->gradient_squares(), 0.0);
}

TEST(WireBenchTest, UnwritableReportIsAnError) {
  WireBenchOptions options;
  options.sizes_bytes = {1 << 20};
  options.channels = {1};
  options.repeats = 1;
  options.json_path = testing::TempDir() + "/no-such-directory/wire_bench.json";

  EXPECT_FALSE(RunWireBench(options).ok());
}

}  // namespace
}  // namespace drover
