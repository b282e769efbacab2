#include "server/coordinator/job_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace drover {
namespace {

using Served = std::vector<std::pair<SessionId, uint64_t>>;

std::vector<FreeWorker> Free(SessionId count) {
  std::vector<FreeWorker> free;
  for (SessionId session = 1; session <= count; ++session) free.push_back({session, {}});
  return free;
}

QueueJob Waiting(uint64_t id, uint32_t min = 1, uint32_t max = 0, int64_t priority = 0) {
  return {id, priority, static_cast<int64_t>(id), min, max, /*running=*/false, 0};
}

QueueJob Running(uint64_t id, uint32_t workers, uint32_t min = 1, uint32_t max = 0) {
  return {id, 0, static_cast<int64_t>(id), min, max, /*running=*/true, workers};
}

QueueLimits Limits() { return {/*shards=*/1, /*shards_min=*/1, /*running_max=*/16}; }

struct Case {
  std::string what;
  std::vector<QueueJob> jobs;
  SessionId free = 0;
  std::vector<uint64_t> start;
  Served workers;
  std::map<uint64_t, std::string> waits;  // Messages.
};

TEST(JobQueueTest, WhoStartsAndWhoServesWhom) {
  const std::string behind = "waits for the jobs before it";
  const std::vector<Case> cases = {
      {"nothing waits", {}, 2, {}, {}, {}},
      {"one job takes all", {Waiting(1)}, 2, {1}, {{1, 1}, {2, 1}}, {}},
      {"by default the second one waits",
       {Waiting(1), Waiting(2)},
       3,
       {1},
       {{1, 1}, {2, 1}, {3, 1}},
       {{2, "waits for 1 worker, 0 are free"}}},
      {"what a job may not have is the next one's",
       {Waiting(1, 1, 1), Waiting(2, 1, 2)},
       3,
       {1, 2},
       {{1, 1}, {2, 2}, {3, 2}},
       {}},
      {"higher priority first",
       {Waiting(1), Waiting(2, 1, 1, /*priority=*/5)},
       1,
       {2},
       {{1, 2}},
       {{1, "waits for 1 worker, 0 are free"}}},
      {"a large job is not overtaken",
       {Waiting(1, 3), Waiting(2, 1)},
       2,
       {},
       {},
       {{1, "waits for 3 workers, 2 are free"}, {2, behind}}},
      {"nor by a running one",
       {Waiting(1, 2), Running(2, 1)},
       1,
       {},
       {},
       {{1, "waits for 2 workers, 1 is free"}}},
      {"which comes first where it was first",
       {Running(1, 1), Waiting(2)},
       1,
       {},
       {{1, 1}},
       {{2, "waits for 1 worker, 0 are free"}}},
      {"until it has what it may have", {Running(1, 2, 1, 2), Waiting(2)}, 1, {2}, {{1, 2}}, {}},
      {"a running job that lost its workers is served before all",
       {Waiting(1, 3), Running(2, 0, 2)},
       3,
       {},
       {{1, 2}, {2, 2}},
       {{1, "waits for 3 workers, 1 is free"}}},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.what);

    const QueuePlan plan = PlanQueue(test.jobs, Free(test.free), Limits());

    EXPECT_EQ(plan.start, test.start);
    EXPECT_EQ(plan.workers, test.workers);
    std::map<uint64_t, std::string> waits;
    for (const auto& [job, wait] : plan.waits) waits[job] = wait.message;
    EXPECT_EQ(waits, test.waits);
  }
}

TEST(JobQueueTest, AWorkerThatAJobRefusedGoesToTheNextOne) {
  std::vector<FreeWorker> free = Free(2);
  free[0].refused_by = {1};

  const QueuePlan plan = PlanQueue({Waiting(1), Waiting(2)}, free, Limits());

  EXPECT_EQ(plan.start, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(plan.workers, (Served{{2, 1}, {1, 2}}));
}

TEST(JobQueueTest, NothingStartsWithoutItsShards) {
  const QueuePlan plan = PlanQueue({Waiting(1)}, Free(1), {1, 2, 16});

  EXPECT_TRUE(plan.start.empty());
  EXPECT_EQ(plan.waits.at(1).reason, "WAITING_FOR_SHARDS");
  EXPECT_EQ(plan.waits.at(1).message, "1 of 2 shards are there");
}

TEST(JobQueueTest, NoMoreJobsAtOnceThanTheLimit) {
  const QueuePlan plan = PlanQueue({Running(1, 1, 1, 1), Waiting(2, 1, 1), Waiting(3)}, Free(3),
                                   {1, 1, /*running_max=*/2});

  EXPECT_EQ(plan.start, (std::vector<uint64_t>{2}));
  EXPECT_EQ(plan.workers, (Served{{1, 2}}));
  EXPECT_EQ(plan.waits.at(3).message, "2 jobs run already");
}

// What must hold of every plan, whatever the cluster looks like.
void CheckPlan(const std::vector<QueueJob>& jobs, const std::vector<FreeWorker>& free,
               const QueuePlan& plan) {
  std::map<uint64_t, QueueJob> after;
  for (const QueueJob& job : jobs) after[job.id] = job;
  std::set<SessionId> given;
  for (const auto& [session, job] : plan.workers) {
    EXPECT_TRUE(given.insert(session).second) << "worker " << session << " serves two jobs";
    const auto worker = std::find_if(free.begin(), free.end(),
                                     [id = session](const auto& w) { return w.session == id; });
    ASSERT_NE(worker, free.end());
    EXPECT_FALSE(worker->refused_by.contains(job));
    ++after.at(job).workers;
  }
  for (const uint64_t job : plan.start) after.at(job).running = true;
  for (const auto& [id, job] : after) {
    const auto before =
        std::find_if(jobs.begin(), jobs.end(), [id = id](const auto& j) { return j.id == id; });
    if (job.max_workers > 0) {
      EXPECT_LE(job.workers, std::max(job.max_workers, before->workers));
    }
    if (!before->running && job.running) {
      EXPECT_GE(job.workers, job.min_workers);
    }
    EXPECT_EQ(job.running, !plan.waits.contains(id));
    if (!job.running) {
      EXPECT_EQ(job.workers, 0u);
    }
  }
  // Strictly in order: who is behind a waiting job has got nothing beyond its own minimum.
  for (const auto& [id, waiting] : after) {
    if (waiting.running) continue;
    for (const QueueJob& other : jobs) {
      const bool behind = other.priority < waiting.priority ||
                          (other.priority == waiting.priority && other.order > waiting.order);
      if (!behind) continue;
      const QueueJob& now = after.at(other.id);
      EXPECT_EQ(now.running, other.running) << other.id << " overtook " << id;
      EXPECT_LE(now.workers, std::max(other.workers, other.min_workers));
    }
  }
}

TEST(JobQueueTest, EveryPlanKeepsLimitsAndOrder) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto draw = [&random](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
    std::vector<QueueJob> jobs;
    for (uint64_t id = 1; id <= 1 + draw(6); ++id) {
      const uint32_t min = 1 + draw(3);
      QueueJob job = Waiting(id, min, draw(2) == 0 ? 0 : min + draw(3), draw(3));
      job.running = draw(2) == 0;
      if (job.running) job.workers = draw(job.max_workers == 0 ? 4 : job.max_workers + 1);
      jobs.push_back(job);
    }
    std::vector<FreeWorker> free = Free(draw(8));
    for (FreeWorker& worker : free) {
      if (draw(4) == 0) worker.refused_by.insert(1 + draw(6));
    }

    const QueuePlan plan = PlanQueue(jobs, free, Limits());

    CheckPlan(jobs, free, plan);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace drover
