#include "tests/bad_input/world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <sstream>

#include "common/base/parse.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/victim.h"

namespace drover::bad_input {
namespace {

// drover_NAME_total{...,LABEL="VALUE"}: which metrics count refusals, and by which label.
struct RefusalMetric {
  const char* name;
  const char* label;  // "": none.
};
constexpr RefusalMetric kRefusals[] = {
    {"auth_failures", "reason"},  {"job_submissions", "outcome"}, {"refused_messages", "reason"},
    {"refused_chunks", "reason"}, {"duplicate_chunks", ""},
};

std::string MakeFolder() {
  std::string path = testing::TempDir() + "drover-bad-input-XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path;
}

// "name/value" of a line of the exposition, or "" when it counts no refusal.
std::string KeyOf(const std::string& series) {
  for (const RefusalMetric& metric : kRefusals) {
    if (!series.starts_with(fmt::format("drover_{}_total{{", metric.name))) continue;
    if (metric.label[0] == '\0') return metric.name;
    const std::string label = fmt::format("{}=\"", metric.label);
    const size_t begin = series.find(label);
    if (begin == std::string::npos) return "";
    const size_t value = begin + label.size();
    const std::string text = series.substr(value, series.find('"', value) - value);
    return text == "accepted" ? "" : fmt::format("{}/{}", metric.name, text);
  }
  return "";
}

void AddRefusals(const std::string& exposition, Counts* counts) {
  std::istringstream lines(exposition);
  std::string line;
  while (std::getline(lines, line)) {
    const std::string key = KeyOf(line);
    const double value = key.empty() ? 0 : ParseFloat(line.substr(line.rfind(" ") + 1)).value();
    if (value != 0) (*counts)[key] += value;
  }
}

}  // namespace

World::World() : folder_(MakeFolder()) {
  pki_ = std::make_unique<Pki>(NewFolder("pki"));
  coordinator_ = std::make_unique<ControlServer>(this, "main", ControlServer::Options());
  victim_ = std::make_unique<Victim>(this, coordinator_.get());
}

World::~World() {
  victim_.reset();
  coordinator_.reset();
  std::filesystem::remove_all(folder_);
}

std::string World::NewFolder(const std::string& name) {
  const std::string path = fmt::format("{}/{}-{}", folder_, name, folders_++);
  std::filesystem::create_directories(path);
  return path;
}

int World::shard_port() const { return victim_->shard_port(); }

void World::Keep(const std::string& metrics) { AddRefusals(metrics, &kept_); }

Counts World::Refusals() const {
  Counts counts = kept_;
  AddRefusals(coordinator_->Metrics(), &counts);
  AddRefusals(victim_->Metrics(), &counts);
  return counts;
}

}  // namespace drover::bad_input
