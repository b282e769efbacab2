#include "common/metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/metrics/process_stats.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricRegistryTest, SeriesWithoutOpenLabelsExistAtZeroFromTheStart) {
  MetricRegistry registry(MetricRole::kCoordinator);

  const std::string text = registry.Render();

  EXPECT_THAT(text, HasSubstr("drover_jobs{state=\"running\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_job_submissions_total{outcome=\"invalid\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_job_queue_wait_seconds_count 0\n"));
  EXPECT_THAT(text, HasSubstr("# HELP drover_jobs Jobs known to the coordinator.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE drover_job_queue_wait_seconds histogram\n"));
}

TEST(MetricRegistryTest, HandlesOfOneSeriesShareItsValue) {
  MetricRegistry registry(MetricRole::kCoordinator);

  registry.CounterOf(Metric::kStepsTotal, {"job1"}).Increment();
  registry.CounterOf(Metric::kStepsTotal, {"job1"}).Increment(2.0);
  registry.GaugeOf(Metric::kLoss, {"job1", "train"}).Set(0.5);
  registry.GaugeOf(Metric::kLoss, {"job1", "train"}).Add(-0.25);
  registry.HistogramOf(Metric::kTrustRatio, {"job1"}).Observe(0.001);

  const std::string text = registry.Render();
  EXPECT_THAT(text, HasSubstr("drover_steps_total{train_job=\"job1\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("drover_loss{split=\"train\",train_job=\"job1\"} 0.25\n"));
  EXPECT_THAT(text,
              HasSubstr("drover_trust_ratio_bucket{train_job=\"job1\",le=\"0.001953125\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("drover_trust_ratio_bucket{train_job=\"job1\",le=\"0.0009765625\"} 0\n"));
}

TEST(MetricRegistryTest, AJobStartsWithItsCountersAtZeroButNoInventedGauges) {
  MetricRegistry registry(MetricRole::kCoordinator);

  registry.AddJob("job1");

  const std::string text = registry.Render();
  EXPECT_THAT(text,
              HasSubstr("drover_step_skipped_total{reason=\"nonfinite\",train_job=\"job1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_workers{state=\"active\",train_job=\"job1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("drover_step_duration_seconds_count{train_job=\"job1\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("drover_loss{")));
}

TEST(MetricRegistryTest, KnownLabelsLetAShardStartWithItsOwnSeries) {
  MetricRegistry registry(MetricRole::kShard);

  registry.AddJob("job1", {{"shard", "2"}});

  EXPECT_THAT(registry.Render(),
              HasSubstr("drover_refused_chunks_total{reason=\"checksum\",shard=\"2\","
                        "train_job=\"job1\"} 0\n"));
}

TEST(MetricRegistryTest, RemovingAJobRemovesItsSeriesOnlyAndSilencesItsHandles) {
  MetricRegistry registry(MetricRole::kCoordinator);
  const Counter steps = registry.CounterOf(Metric::kStepsTotal, {"job1"});
  const Counter others = registry.CounterOf(Metric::kStepsTotal, {"job2"});
  const Gauge loss = registry.GaugeOf(Metric::kLoss, {"job1", "train"});
  const Histogram ratio = registry.HistogramOf(Metric::kTrustRatio, {"job1"});

  registry.RemoveJob("job1");
  steps.Increment();
  others.Increment();
  loss.Set(1.0);
  ratio.Observe(1.0);

  const std::string text = registry.Render();
  EXPECT_THAT(text, Not(HasSubstr("job1")));
  EXPECT_THAT(text, HasSubstr("drover_steps_total{train_job=\"job2\"} 1\n"));
}

TEST(MetricRegistryTest, HandlesOutliveTheRegistry) {
  Counter counter;
  counter.Increment();
  {
    MetricRegistry registry(MetricRole::kCoordinator);
    counter = registry.CounterOf(Metric::kStepsTotal, {"job1"});
  }
  counter.Increment();
}

TEST(MetricRegistryTest, HoldsABoundedNumberOfJobsAndMakesRoomWhenOneEnds) {
  MetricRegistry registry(MetricRole::kCoordinator);
  for (int job = 0; job < 10000; ++job) {
    registry.CounterOf(Metric::kStepsTotal, {"job" + std::to_string(job)}).Increment();
  }
  EXPECT_THAT(registry.Render(), HasSubstr("train_job=\"job199\""));
  EXPECT_THAT(registry.Render(), Not(HasSubstr("train_job=\"job200\"")));

  registry.RemoveJob("job7");
  registry.CounterOf(Metric::kStepsTotal, {"new"}).Increment();

  EXPECT_THAT(registry.Render(), HasSubstr("train_job=\"new\""));
}

TEST(MetricRegistryTest, ValuesFromOutsideCannotForgeLines) {
  MetricRegistry registry(MetricRole::kCoordinator);

  registry.CounterOf(Metric::kNonfiniteGradientsTotal, {"job1", "a\nforged 1\xff\"\\"}).Increment();
  registry.CounterOf(Metric::kNonfiniteGradientsTotal, {"job1", std::string(5000, 'x')})
      .Increment();

  const std::string text = registry.Render();
  EXPECT_THAT(text, HasSubstr("worker=\"a?forged 1?\\\"\\\\\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("worker=\"" + std::string(200, 'x') + "\"} 1\n"));
}

TEST(MetricRegistryDeathTest, OurOwnMistakesAbort) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  MetricRegistry registry(MetricRole::kWorker);
  EXPECT_DEATH(registry.CounterOf(Metric::kStepsTotal, {"job1"}), "broken promise");
  EXPECT_DEATH(registry.GaugeOf(Metric::kWorkerSamplesTotal, {"job1", "0"}), "broken promise");
  EXPECT_DEATH(registry.CounterOf(Metric::kWorkerSamplesTotal, {"job1"}), "broken promise");
  EXPECT_DEATH(registry.HistogramOf(Metric::kWorkerPhaseDurationSeconds, {"job1", "lunch"}),
               "broken promise");
}

TEST(MetricRegistryTest, CountsFromManyThreadsExactlyWhileItIsScrapedAndJobsCome) {
  MetricRegistry registry(MetricRole::kCoordinator);
  const Counter steps = registry.CounterOf(Metric::kStepsTotal, {"job1"});
  std::atomic<bool> done = false;
  {
    Thread scraper("scraper", [&] {
      for (int i = 0; !done || i < 3; ++i) {
        registry.AddJob("other");
        registry.Render();
        registry.RemoveJob("other");
      }
    });
    {
      std::vector<Thread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back("count", [&] {
          for (int i = 0; i < 5000; ++i) {
            steps.Increment();
            registry.CounterOf(Metric::kTokensTotal, {"other"}).Increment();
          }
        });
      }
    }
    done = true;
  }
  EXPECT_THAT(registry.Render(), HasSubstr("drover_steps_total{train_job=\"job1\"} 20000\n"));
}

TEST(MetricRegistryTest, ProcessMetricsAndLogMessagesAreReadWhenScraped) {
  MetricRegistry registry(MetricRole::kWorker);
  LogError("expected in this test");

  const std::string text = registry.Render();

  EXPECT_THAT(text, HasSubstr("drover_log_messages_total{level=\"error\"} " +
                              std::to_string(LoggedCount(LogLevel::kError)) + "\n"));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

TEST(ProcessStatsTest, AgreesWithWhatTheTestKnows) {
  const ProcessStats before = ReadProcessStats();
  std::ifstream open_file("/proc/self/status");
  const ProcessStats after = ReadProcessStats();

  EXPECT_EQ(after.open_fds, before.open_fds + 1);
  EXPECT_GE(after.cpu_seconds, before.cpu_seconds);
  EXPECT_GE(before.threads, 1.0);
  EXPECT_GT(before.max_fds, before.open_fds);
  // Kernel's own name for the same number, in kB.
  double resident_kb = 0.0;
  for (std::string line; std::getline(open_file, line);) {
    if (line.rfind("VmRSS:", 0) == 0) std::istringstream(line.substr(6)) >> resident_kb;
  }
  EXPECT_NEAR(after.resident_bytes / 1024, resident_kb, 0.5 * resident_kb);
  EXPECT_EQ(after.start_time_unix_seconds, before.start_time_unix_seconds);
  EXPECT_GT(after.start_time_unix_seconds, 1.7e9);
}

// Prometheus's own checker, where it is installed.
TEST(MetricTableTest, PassesPromtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool is not installed (apt-get install prometheus)";
  }
  for (const MetricRole role :
       {MetricRole::kCoordinator, MetricRole::kShard, MetricRole::kWorker}) {
    MetricRegistry registry(role);
    // One series of every metric, so that each is in the text.
    const std::map<std::string, std::string> known = {
        {"shard", "0"},         {"worker", "0"},       {"device", "cpu0"},   {"kernel", "lamb"},
        {"grpc_type", "unary"}, {"grpc_service", "s"}, {"grpc_method", "m"}, {"grpc_code", "OK"}};
    registry.AddJob("job1", known);
    const std::string path = ::testing::TempDir() + "exposition.txt";
    std::ofstream(path) << registry.Render();
    EXPECT_EQ(std::system(("promtool check metrics < " + path).c_str()), 0);
    std::remove(path.c_str());
  }
}

// Lists stand with a blank after each comma in the document, without one in the table.
std::string Squeezed(std::string text) {
  for (size_t at; (at = text.find(", ")) != std::string::npos;) text.erase(at + 1, 1);
  return text;
}

// The cells of a row of a Markdown table, without blanks around them, backquotes and escapes.
std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells = {""};
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\') {
      cells.back() += line[++i];
    } else if (line[i] == '|') {
      cells.emplace_back();
    } else if (line[i] != '`') {
      cells.back() += line[i];
    }
  }
  for (std::string& cell : cells) {
    while (!cell.empty() && cell.front() == ' ') cell.erase(0, 1);
    while (!cell.empty() && cell.back() == ' ') cell.pop_back();
  }
  return cells;
}

TEST(MetricRegistryTest, ReadsWhatIsOutsideBeforeEachText) {
  MetricRegistry registry(MetricRole::kWorker);
  double value = 0;
  registry.OnRender([&] {
    registry.GaugeOf(Metric::kTlsCertificateNotAfterTimestampSeconds, {"own"}).Set(++value);
  });

  EXPECT_THAT(registry.Render(), HasSubstr("{certificate=\"own\"} 1\n"));
  EXPECT_THAT(registry.Render(), HasSubstr("{certificate=\"own\"} 2\n"));
}

TEST(MetricTableTest, DocsListTheSameMetrics) {
  std::ifstream file(DROVER_SOURCE_DIR "/docs/metrics.md");
  ASSERT_TRUE(file.is_open());
  std::map<std::string, std::vector<std::string>> documented;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    const std::vector<std::string> cells = Cells(line);
    EXPECT_TRUE(documented.emplace(cells[0], cells).second) << cells[0] << " is listed twice";
  }

  ASSERT_EQ(documented.size(), kMetricTable.size());
  constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
  constexpr const char* kBuckets[] = {"", "latency", "step", "wait", "ratio", "leaves"};
  for (const MetricRow& row : kMetricTable) {
    const std::vector<std::string> cells = documented[row.name];
    ASSERT_GE(cells.size(), 7u) << row.name << " is not in docs/metrics.md";
    EXPECT_EQ(cells[1], kTypes[static_cast<size_t>(row.type)]) << row.name;
    EXPECT_EQ(Squeezed(cells[2]), row.roles) << row.name;
    EXPECT_EQ(Squeezed(cells[3]), row.labels) << row.name;
    EXPECT_EQ(cells[4], row.unit) << row.name;
    EXPECT_EQ(cells[5], kBuckets[static_cast<size_t>(row.buckets)]) << row.name;
    EXPECT_EQ(cells[6], row.help) << row.name;
  }
}

// https://prometheus.io/docs/practices/naming/
TEST(MetricTableTest, NamesFollowTheConventions) {
  std::set<std::string> names;
  for (const MetricRow& row : kMetricTable) {
    const std::string name = row.name;
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_THAT(name, ::testing::MatchesRegex("(drover|process|grpc_server)_[a-z0-9_]+"));
    EXPECT_EQ(row.type == MetricType::kCounter, name.ends_with("_total")) << name;
    EXPECT_THAT(name, HasSubstr(row.unit));  // An empty one is in every name.
  }
}

TEST(BucketBoundsTest, AreWhatTheDocsSay) {
  EXPECT_TRUE(BucketBounds(BucketSet::kNone).empty());
  const std::vector<double> latency = BucketBounds(BucketSet::kLatency);
  EXPECT_EQ(latency.size(), 18u);
  EXPECT_EQ(latency.front(), 0.0005);
  EXPECT_EQ(latency.back(), 65.536);
  EXPECT_EQ(BucketBounds(BucketSet::kRatio).front(), 0.0009765625);
  EXPECT_EQ(BucketBounds(BucketSet::kRatio).back(), 128.0);
  EXPECT_EQ(BucketBounds(BucketSet::kLeaves), (std::vector<double>{1, 2, 4, 8, 16, 32, 64}));
}

}  // namespace
}  // namespace drover
