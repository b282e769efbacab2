#include "server/coordinator/status_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace drover {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kExample[] = "docs/examples/quickstart.yaml";

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

template <typename T>
Json NumberOrNull(const std::optional<T>& value) {
  return value.has_value() ? Number(static_cast<double>(*value)) : Json(nullptr);
}

// "drover VERB", with the server if it is not the one that the CLI asks anyway.
std::string Drover(const StatusFacts& facts, const std::string& words) {
  return facts.server.empty() ? "drover " + words
                              : fmt::format("drover --server {} {}", facts.server, words);
}

std::string Dial(const StatusFacts& facts) {
  return facts.server.empty() ? "127.0.0.1:50050" : facts.server;
}

// The processes without which no job starts.
std::vector<NextCommand> ForCluster(const StatusFacts& facts) {
  std::vector<NextCommand> commands;
  const int64_t shards_wanted = std::max<int64_t>(1, facts.shards_min);
  if (facts.shards_total < shards_wanted) {
    commands.push_back(
        {fmt::format("drover-shard --coordinator {} --listen 127.0.0.1:0", Dial(facts)),
         fmt::format("{} of {} shards are there", facts.shards_total, shards_wanted)});
  }
  if (facts.workers_total == 0) {
    commands.push_back(
        {fmt::format("drover-worker --coordinator {}", Dial(facts)), "no worker is there"});
  }
  return commands;
}

const StatusJob* Selected(const StatusFacts& facts) {
  const auto found = std::find_if(facts.jobs.begin(), facts.jobs.end(),
                                  [&](const StatusJob& job) { return job.id == facts.selected; });
  return found == facts.jobs.end() ? nullptr : &*found;
}

bool IsOver(const std::string& state) {
  return state == "SUCCEEDED" || state == "FAILED" || state == "CANCELLED";
}

// What the job itself asks for; `name` is how a user would call it.
std::vector<NextCommand> ForJob(const StatusFacts& facts, const StatusJob& job,
                                const std::string& name) {
  const auto run = [&](const std::string& verb, const std::string& why) {
    return NextCommand{Drover(facts, fmt::format("{} {}", verb, name)), why};
  };
  if (job.state == "SUSPENDED" || job.state == "SUSPENDING") {
    return {run("resume", "let it go on where it stopped"), run("describe", "all about it")};
  }
  if (job.state == "FAILED") {
    return {run("logs", "see what went wrong"), run("describe", "all about it")};
  }
  if (job.state == "SUCCEEDED" && job.checkpoint_version >= 0) {
    const std::string checkpoint = fmt::format("{}-{}", job.id, job.checkpoint_version);
    return {{Drover(facts,
                    fmt::format("checkpoint export {} --out {}.safetensors", checkpoint, job.name)),
             "take the weights with you"},
            run("describe", "the ledger and digests")};
  }
  if (IsOver(job.state)) return {run("describe", "how it ended")};
  return {run("watch", "follow it in a terminal"), run("suspend", "free its devices")};
}

Json JobToJson(const StatusJob& job) {
  std::optional<double> eta;
  if (job.step_seconds.has_value()) {
    eta = *job.step_seconds * static_cast<double>(std::max<int64_t>(0, job.steps - job.step));
  }
  return {{"id", job.id},
          {"name", job.name},
          {"state", job.state},
          {"reason", job.reason},
          {"message", job.message},
          {"step", job.step},
          {"steps", job.steps},
          {"skipped", job.skipped},
          {"batch", job.batch},
          {"rule", job.rule},
          {"parameters", job.parameters},
          {"epoch", job.epoch},
          {"workers_lost", job.workers_lost},
          {"shards_restarted", job.shards_restarted},
          {"checkpoint_version", job.checkpoint_version},
          {"weights_digest", job.weights_digest},
          {"created_unix_ms", job.created_unix_ms},
          {"started_unix_ms", job.started_unix_ms},
          {"ended_unix_ms", job.ended_unix_ms},
          {"loss", NumberOrNull(job.loss)},
          {"accuracy", NumberOrNull(job.accuracy)},
          {"eval_loss", NumberOrNull(job.eval_loss)},
          {"eval_accuracy", NumberOrNull(job.eval_accuracy)},
          {"samples_per_second", NumberOrNull(job.samples_per_second)},
          {"eta_seconds", NumberOrNull(eta)}};
}

Json WorkerToJson(const StatusWorker& worker) {
  return {{"name", worker.name},
          {"state", worker.state},
          {"note", worker.note},
          {"numeric_class", worker.numeric_class},
          {"lanes", worker.lanes},
          {"job", worker.job},
          {"lag_steps", NumberOrNull(worker.lag_steps)},
          {"lateness_seconds", NumberOrNull(worker.lateness_seconds)},
          {"samples_per_second", Number(worker.samples_per_second)}};
}

Json ShardToJson(const StatusShard& shard) {
  Json parts = Json::array();
  for (const StatusShard::Part& part : shard.parts) {
    parts.push_back({{"job", part.job},
                     {"block_begin", part.block_begin},
                     {"block_end", part.block_end},
                     {"bytes", part.bytes}});
  }
  return {{"name", shard.name}, {"address", shard.address}, {"parts", std::move(parts)}};
}

// Column by column: a third of the bytes of an object per step.
Json StepsToJson(const std::vector<StatusStep>& steps) {
  const auto column = [&](double StatusStep::*field) {
    Json values = Json::array();
    for (const StatusStep& step : steps) values.push_back(Number(step.*field));
    return values;
  };
  Json numbers = Json::array();
  for (const StatusStep& step : steps) numbers.push_back(step.step);
  return {{"step", std::move(numbers)},
          {"loss", column(&StatusStep::loss)},
          {"accuracy", column(&StatusStep::accuracy)},
          {"learning_rate", column(&StatusStep::learning_rate)},
          {"gradient_norm", column(&StatusStep::gradient_norm)},
          {"samples_per_second", column(&StatusStep::samples_per_second)},
          {"ratio_min", column(&StatusStep::ratio_min)},
          {"ratio_median", column(&StatusStep::ratio_median)},
          {"ratio_max", column(&StatusStep::ratio_max)},
          {"noise_scale", column(&StatusStep::noise_scale)}};
}

Json EvalsToJson(const std::vector<StatusEval>& evals) {
  Json steps = Json::array();
  Json losses = Json::array();
  Json accuracies = Json::array();
  for (const StatusEval& eval : evals) {
    steps.push_back(eval.step);
    losses.push_back(Number(eval.loss));
    accuracies.push_back(Number(eval.accuracy));
  }
  return {
      {"step", std::move(steps)}, {"loss", std::move(losses)}, {"accuracy", std::move(accuracies)}};
}

template <typename T, typename F>
Json ListOf(const std::vector<T>& items, const F& to_json) {
  Json list = Json::array();
  for (const T& item : items) list.push_back(to_json(item));
  return list;
}

}  // namespace

std::vector<NextCommand> NextCommands(const StatusFacts& facts) {
  const StatusJob* job = Selected(facts);
  // A job that waits for processes needs these before all else.
  const bool waits = job == nullptr || (!IsOver(job->state) && job->state != "SUSPENDED");
  std::vector<NextCommand> commands = waits ? ForCluster(facts) : std::vector<NextCommand>();
  if (job == nullptr) {
    commands.push_back({Drover(facts, fmt::format("submit {}", kExample)),
                        "train the example; your own job file works the same way"});
    return commands;
  }
  const std::string& name = job->is_newest_of_name ? job->name : job->id;
  for (NextCommand& command : ForJob(facts, *job, name)) commands.push_back(std::move(command));
  return commands;
}

std::string ServerForUsers(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if ((host == "127.0.0.1" || host == "localhost") && port == "50050") return "";
  return (host == "0.0.0.0" || host == "[::]" ? "HOST" : host) + ":" + port;
}

std::string StatusToJson(const StatusFacts& facts) {
  const Json json = {{"version", facts.version},
                     {"server", facts.server},
                     {"now_unix_ms", facts.now_unix_ms},
                     {"started_unix_ms", facts.started_unix_ms},
                     {"shards_min", facts.shards_min},
                     {"jobs_total", facts.jobs_total},
                     {"jobs", ListOf(facts.jobs, JobToJson)},
                     {"workers_total", facts.workers_total},
                     {"workers", ListOf(facts.workers, WorkerToJson)},
                     {"shards_total", facts.shards_total},
                     {"shards", ListOf(facts.shards, ShardToJson)},
                     {"selected", facts.selected},
                     {"steps", StepsToJson(facts.steps)},
                     {"evals", EvalsToJson(facts.evals)},
                     {"lines", ListOf(facts.lines,
                                      [](const StatusLine& line) {
                                        return Json{{"unix_ms", line.unix_ms},
                                                    {"level", line.level},
                                                    {"task", line.task},
                                                    {"text", line.text}};
                                      })},
                     {"next", ListOf(NextCommands(facts), [](const NextCommand& next) {
                        return Json{{"command", next.command}, {"why", next.why}};
                      })}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace drover
