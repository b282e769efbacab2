#include "server/cli/doctor_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>
#include <string>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kGibi = int64_t{1} << 30;
constexpr int64_t kDay = 86400;
constexpr int64_t kNow = 1800000000;  // 2027

// A machine, a cluster and a job without a mistake.
DoctorFacts Fine() {
  DoctorFacts facts;
  facts.machine.cores = 8;
  facts.machine.instruction_sets = "generic, avx2";
  facts.machine.has_avx2 = true;
  facts.machine.memory_available_bytes = 16 * kGibi;
  facts.machine.files_soft = 4096;
  facts.machine.files_hard = 1 << 20;
  facts.machine.shared_memory_bytes = 8 * kGibi;
  facts.machine.gpus = 2;
  facts.machine.has_gpu_file = true;
  facts.machine.gpu_text = "2 x H100";
  facts.machine.has_cublas = true;
  facts.machine.cublas_text = "13.1.0";
  facts.machine.has_nccl = true;
  facts.machine.nccl_text = "2.28.9";
  facts.machine.host_name = "node-1";
  facts.machine.host_addresses = {"10.0.0.7"};
  facts.machine.now_unix_s = kNow;
  facts.version = "0.1.0";
  facts.program_directory = "/opt/drover";
  facts.programs = {{"drover-shard", true, "0.1.0"}, {"drover-worker", true, "0.1.0"}};
  facts.state = {"/srv/drover", "", true, false, 100 * kGibi, ""};
  facts.ports = {{"127.0.0.1:50050", "the coordinator's", false, false}};
  CredentialFacts& mine = facts.credentials;
  mine.tls = true;
  mine.certificate = "worker.crt";
  mine.not_before_unix_s = kNow - kDay;
  mine.not_after_unix_s = kNow + 100 * kDay;
  mine.authority_not_after_unix_s = kNow + 1000 * kDay;
  mine.identity = "worker/w1";
  mine.token_file = "secret";
  ServerFacts server;
  server.address = "coordinator.example:50050";
  server.asked_for = true;
  server.found.speech = Handshake::Speech::kTls;
  server.found.names = {"coordinator.example"};
  server.found.not_before_unix_s = kNow - kDay;
  server.found.not_after_unix_s = kNow + 100 * kDay;
  server.answered = true;
  facts.server = server;
  facts.jobs = {{"digits", "RUNNING", "", "", kNow - 60}};
  JobNeeds job;
  job.parameters = 1'000'000;
  job.shard_bytes_per_parameter = 24;
  job.worker_bytes_per_parameter = 16;
  job.sample_bytes = 1 << 20;
  job.micro_batch = 64;
  job.leaf_samples = 1024;
  job.lanes = 8;
  job.gpu.text = "micro_batch=64 needs 1.0 MiB; the largest that fits is 1024";
  facts.job = job;
  return facts;
}

struct Mistake {
  const char* check;  // The one that must find it.
  Health verdict;
  std::function<void(DoctorFacts*)> make;
  const char* found;  // A part of what is said.
};

const Mistake kMistakes[] = {
    {"instructions", Health::kWarn, [](DoctorFacts* f) { f->machine.has_avx2 = false; }, "only"},
    {"memory", Health::kWarn, [](DoctorFacts* f) { f->machine.memory_available_bytes = kGibi; },
     "1.0 GiB"},
    {"memory", Health::kWarn, [](DoctorFacts* f) { f->machine.memory_available_bytes = -1; },
     "unknown"},
    {"open files", Health::kWarn, [](DoctorFacts* f) { f->machine.files_soft = 256; }, "256"},
    {"shared memory", Health::kWarn,
     [](DoctorFacts* f) { f->machine.shared_memory_bytes = 64 << 20; }, "64.0 MiB"},
    {"GPU", Health::kWarn, [](DoctorFacts* f) { f->machine.gpus = 0; }, "cannot use it"},
    {"cuBLASLt", Health::kWarn, [](DoctorFacts* f) { f->machine.has_cublas = false; },
     "would use the CPU"},
    {"NCCL", Health::kWarn, [](DoctorFacts* f) { f->machine.has_nccl = false; },
     "cannot be loaded"},
    {"ports", Health::kFail,
     [](DoctorFacts* f) { f->machine.loopback_problem = "Operation not permitted"; },
     "not permitted"},
    {"usual ports", Health::kWarn, [](DoctorFacts* f) { f->ports[0].taken = true; },
     "127.0.0.1:50050"},
    {"clock", Health::kFail, [](DoctorFacts* f) { f->machine.now_unix_s = 86400; }, "1970"},
    {"clock", Health::kWarn, [](DoctorFacts* f) { (*f->jobs)[0].create_time_unix_s = kNow + 90; },
     "90 s ahead"},
    {"host name", Health::kWarn, [](DoctorFacts* f) { f->machine.host_addresses = {"127.0.1.1"}; },
     "node-1 is 127.0.1.1"},
    {"programs", Health::kWarn, [](DoctorFacts* f) { f->programs[0].found = false; },
     "drover-shard"},
    {"versions", Health::kFail, [](DoctorFacts* f) { f->programs[1].version = "0.0.9"; },
     "drover-worker 0.0.9"},
    {"versions", Health::kFail, [](DoctorFacts* f) { f->programs[1].version = ""; },
     "drover-worker ?"},
    {"state", Health::kFail, [](DoctorFacts* f) { f->state.problem = "No such file"; },
     "No such file"},
    {"state", Health::kFail, [](DoctorFacts* f) { f->state.writable = false; },
     "cannot be written"},
    {"disk", Health::kWarn, [](DoctorFacts* f) { f->state.free_bytes = kGibi; }, "1.0 GiB free"},
    {"disk", Health::kFail, [](DoctorFacts* f) { f->state.free_bytes = 1 << 20; }, "1.0 MiB free"},
    {"state on disk", Health::kWarn, [](DoctorFacts* f) { f->state.in_memory = true; }, "tmpfs"},
    {"state in use", Health::kWarn, [](DoctorFacts* f) { f->state.locked_by = "LOCK"; },
     "/srv/drover/LOCK"},
    {"TLS files", Health::kFail,
     [](DoctorFacts* f) { f->credentials.missing = "--tls-key is missing"; }, "--tls-key"},
    {"TLS files", Health::kFail,
     [](DoctorFacts* f) { f->credentials.unreadable = "--tls-key: permission denied"; }, "denied"},
    {"certificate", Health::kFail,
     [](DoctorFacts* f) { f->credentials.not_after_unix_s = kNow - 1; }, "ran out on 2027-01-15"},
    {"certificate", Health::kWarn,
     [](DoctorFacts* f) { f->credentials.not_after_unix_s = kNow + kDay; }, "runs out on"},
    {"certificate", Health::kFail,
     [](DoctorFacts* f) { f->credentials.authority_not_after_unix_s = kNow - 1; },
     "the authority's"},
    {"not yet", Health::kFail,
     [](DoctorFacts* f) { f->credentials.not_before_unix_s = kNow + kDay; }, "good only from"},
    {"authority", Health::kFail,
     [](DoctorFacts* f) { f->credentials.authority_problem = "is not signed"; }, "is not signed"},
    {"authority", Health::kFail,
     [](DoctorFacts* f) { f->credentials.identity_problem = "has no URI"; }, "has no URI"},
    {"key", Health::kFail, [](DoctorFacts* f) { f->credentials.key_problem = "another's"; },
     "another's"},
    {"key mode", Health::kFail,
     [](DoctorFacts* f) { f->credentials.key_mode_problem = "mode 0644"; }, "0644"},
    {"token", Health::kFail, [](DoctorFacts* f) { f->credentials.token_problem = "mode 0644"; },
     "0644"},
    {"coordinator", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kRefused; },
     "nobody listens"},
    {"coordinator", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kUnresolved; },
     "no such name"},
    {"coordinator", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kUnreachable; },
     "does not answer"},
    {"its port", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kHttp1; }, "speaks HTTP/1"},
    {"its port", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kOther; }, "something else"},
    {"its port", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kNothing; }, "says nothing"},
    {"plain or TLS", Health::kFail, [](DoctorFacts* f) { f->credentials = {}; },
     "speaks TLS, this call plain text"},
    {"plain or TLS", Health::kFail,
     [](DoctorFacts* f) { f->server->found.speech = Handshake::Speech::kHttp2; },
     "speaks plain text, this call TLS"},
    {"its authority", Health::kFail,
     [](DoctorFacts* f) { f->server->found.untrusted = "self-signed certificate"; }, "self-signed"},
    {"its date", Health::kFail,
     [](DoctorFacts* f) { f->server->found.not_after_unix_s = kNow - 1; }, "ran out on"},
    {"its date", Health::kFail,
     [](DoctorFacts* f) { f->server->found.not_before_unix_s = kNow + kDay; }, "good only from"},
    {"its date", Health::kWarn,
     [](DoctorFacts* f) { f->server->found.not_after_unix_s = kNow + kDay; }, "runs out on"},
    {"its name", Health::kFail, [](DoctorFacts* f) { f->server->found.name_fits = false; },
     "is not among its names: coordinator.example"},
    {"its answer", Health::kFail, [](DoctorFacts* f) { f->server->found.turned_away = true; },
     "does not accept --tls-cert"},
    {"a call", Health::kFail,
     [](DoctorFacts* f) {
       f->server->answered = false;
       f->server->call_problem = "worker/w1 may not call ListJobs";
     },
     "may not call"},
    {"shards", Health::kFail, [](DoctorFacts* f) { (*f->jobs)[0].reason = "WAITING_FOR_SHARDS"; },
     "digits"},
    {"workers", Health::kFail, [](DoctorFacts* f) { (*f->jobs)[0].reason = "WAITING_FOR_WORKERS"; },
     "digits"},
    {"refused workers", Health::kFail,
     [](DoctorFacts* f) {
       (*f->jobs)[0].reason = "ALL_WORKERS_REFUSED";
       (*f->jobs)[0].message = "w2 has class x";
     },
     "w2 has class x"},
    {"job file", Health::kFail, [](DoctorFacts* f) { f->job->problem = "a.yaml:3:1: bacth"; },
     "a.yaml:3:1"},
    {"job data", Health::kFail, [](DoctorFacts* f) { f->job->data_problem = "no such folder"; },
     "no such folder"},
    {"shard memory", Health::kWarn, [](DoctorFacts* f) { f->job->parameters = int64_t{1} << 30; },
     "1,073,741,824 parameters need 24.0 GiB"},
    {"worker memory", Health::kFail, [](DoctorFacts* f) { f->job->sample_bytes = 64 << 20; },
     "up to 16 would fit"},
    {"GPU memory", Health::kFail,
     [](DoctorFacts* f) {
       f->job->gpu = {"micro_batch=64: 8.0 MiB are missing", /*fits=*/false, ""};
     },
     "8.0 MiB are missing"},
    {"GPU memory", Health::kWarn,
     [](DoctorFacts* f) { f->job->gpu.problem = "this build has no CUDA"; }, "cannot be told"},
};

const Finding* Find(const std::vector<Finding>& findings, const std::string& check) {
  for (const Finding& finding : findings) {
    if (finding.subject == check) return &finding;
  }
  return nullptr;
}

TEST(DoctorChecksTest, NothingIsWrongWithWhatIsFine) {
  for (const Finding& finding : Judge(Fine())) {
    EXPECT_EQ(finding.verdict, Health::kOk) << finding.subject << ": " << finding.found;
    EXPECT_THAT(finding.found, Not(IsEmpty())) << finding.subject;
  }
}

TEST(DoctorChecksTest, NothingKnownIsNothingFailed) {
  for (const Finding& finding : Judge(DoctorFacts())) {
    if (finding.subject == "state") continue;  // A folder of no name.
    EXPECT_NE(finding.verdict, Health::kFail) << finding.subject << ": " << finding.found;
  }
}

TEST(DoctorChecksTest, EachMistakeIsFoundWithARemedy) {
  for (const Mistake& mistake : kMistakes) {
    DoctorFacts facts = Fine();
    mistake.make(&facts);
    const std::vector<Finding> findings = Judge(facts);
    const Finding* const finding = Find(findings, mistake.check);
    ASSERT_NE(finding, nullptr) << mistake.check;
    EXPECT_EQ(finding->verdict, mistake.verdict) << mistake.check << ": " << finding->found;
    EXPECT_THAT(finding->found, HasSubstr(mistake.found));
    EXPECT_THAT(finding->hint, Not(IsEmpty())) << mistake.check;
  }
}

TEST(DoctorChecksTest, EveryCheckThatCanFindAMistakeHasOneHere) {
  std::set<std::string> tried;
  for (const Mistake& mistake : kMistakes) tried.insert(mistake.check);
  size_t mistakes = 0;
  for (const DoctorCheck& check : DoctorChecks()) {
    const bool finds = std::string(check.remedy) != "";
    mistakes += finds ? 1 : 0;
    EXPECT_EQ(tried.contains(check.name), finds) << check.name;
  }
  EXPECT_GE(mistakes, 20u);
}

TEST(DoctorChecksTest, ACoordinatorThatNobodyAskedForMayBeAbsent) {
  DoctorFacts facts = Fine();
  facts.server->asked_for = false;
  facts.server->found.speech = Handshake::Speech::kRefused;
  EXPECT_EQ(Find(Judge(facts), "coordinator")->verdict, Health::kOk);
}

TEST(DoctorChecksTest, AMachineWithoutGpusNeedsNothingOfThem) {
  DoctorFacts facts = Fine();
  facts.machine.gpus = 0;
  facts.machine.has_gpu_file = false;
  const std::vector<Finding> findings = Judge(facts);
  EXPECT_EQ(Find(findings, "GPU")->found, "none; workers use the CPU");
  EXPECT_EQ(Find(findings, "NCCL"), nullptr);
  EXPECT_EQ(Find(findings, "shared memory"), nullptr);
}

TEST(DoctorChecksTest, OneGpuNeedsNoNccl) {
  DoctorFacts facts = Fine();
  facts.machine.gpus = 1;
  facts.machine.has_nccl = false;
  EXPECT_EQ(Find(Judge(facts), "NCCL")->verdict, Health::kOk);
}

TEST(DoctorChecksTest, TheLargestMicroBatchDividesTheLeafAndFits) {
  JobNeeds needs = *Fine().job;
  needs.leaf_samples = 96;
  // 1e6 * (16 + 4 * 8) bytes besides; then 8 lanes of 1 MiB per sample.
  const int64_t fixed = 48'000'000;
  const int64_t per_sample = int64_t{8} << 20;
  EXPECT_EQ(WorkerBytes(needs, 0), fixed);
  EXPECT_EQ(WorkerBytes(needs, 3), fixed + 3 * per_sample);
  EXPECT_EQ(LargestMicroBatch(needs, fixed), 0);
  EXPECT_EQ(LargestMicroBatch(needs, fixed + per_sample), 1);
  EXPECT_EQ(LargestMicroBatch(needs, fixed + 50 * per_sample), 48);
  EXPECT_EQ(LargestMicroBatch(needs, fixed + 1000 * per_sample), 96);
}

// | `name` | mistake | remedy |
TEST(DoctorChecksTest, TheTableInTheDocumentsIsTheTableInTheCode) {
  std::ifstream file(DROVER_SOURCE_DIR "/docs/operations.md");
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "| check | mistake | what to do |") inside = true;
    if (inside && line.empty()) break;
    if (inside && line.starts_with("| `")) rows.push_back(line);
  }
  std::vector<std::string> wanted;
  for (const DoctorCheck& check : DoctorChecks()) {
    if (std::string(check.remedy).empty()) continue;
    wanted.push_back("| `" + std::string(check.name) + "` | " + check.mistake + " | " +
                     check.remedy + " |");
  }
  EXPECT_EQ(rows, wanted);
}

}  // namespace
}  // namespace drover
