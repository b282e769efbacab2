// A: tokens of jobs on the data plane, at a shard of their own, and what callers may not do to the
// jobs and leases of others. Each refusal is counted once under its reason and has its line in the
// audit log; none tells what the right token would have been.

#include <gtest/gtest.h>

#include <array>

#include "common/rpc/tensor_stream.h"
#include "common/tls/job_token.h"
#include "proto/drover/v1/job.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/lab_shard.h"
#include "tests/bad_input/rogue.h"
#include "tests/bad_input/victim.h"

namespace drover::bad_input {
namespace {

constexpr char kWorker[] = "w";

JobClaims GoodClaims() { return SlowJobClaims(kWorker); }

std::string Seal(const JobClaims& claims) { return SealSlowJobToken(claims); }

// By who does not know the key.
std::string Forge(const JobClaims& claims) {
  return SealJobToken(std::string(kJobKeyBytes, 'x'), claims);
}

// How a stream of worker "w" with this metadata ends when nothing is sent on it.
Code Knock(LabShard& lab, Metadata metadata) {
  metadata.emplace_back(kWorkerMetadata, kWorker);
  const Client client = lab.server().As(kWorker);
  return client.Open(kExchange, metadata)->Finish().code();
}
Code KnockWith(LabShard& lab, const std::string& token) {
  return Knock(lab, {{kJobTokenMetadata, token}});
}

void MissingToken(World& world) {
  LabShard lab(&world);
  EXPECT_EQ(Knock(lab, {}), Code::kUnauthenticated);
  EXPECT_EQ(KnockWith(lab, ""), Code::kUnauthenticated);
  lab.FinishStep();
}

void TruncatedToken(World& world) {
  LabShard lab(&world);
  const std::string token = Seal(GoodClaims());
  for (const size_t size : {size_t{1}, size_t{24}, token.size() / 2, token.size() - 1}) {
    EXPECT_EQ(KnockWith(lab, token.substr(0, size)), Code::kUnauthenticated) << size;
  }
  EXPECT_EQ(KnockWith(lab, token + "x"), Code::kUnauthenticated);
  lab.FinishStep();
}

// In the subject, the expiry and the HMAC; job and epoch decide which key is asked for.
void FlippedBit(World& world) {
  LabShard lab(&world);
  const std::string token = Seal(GoodClaims());
  for (const size_t at : {size_t{1}, size_t{16}, size_t{23}, token.size() - 32, token.size() - 1}) {
    std::string flipped = token;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x08);
    EXPECT_NE(KnockWith(lab, flipped), Code::kOk) << at;
  }
  lab.FinishStep();
}

void TokenOfAnotherJob(World& world) {
  LabShard lab(&world);
  JobClaims claims = GoodClaims();
  ++claims.job;
  EXPECT_EQ(KnockWith(lab, Forge(claims)), Code::kPermissionDenied);
  EXPECT_EQ(KnockWith(lab, Seal(claims)), Code::kPermissionDenied);
  // The claims of this job under the key of another.
  EXPECT_EQ(KnockWith(lab, Forge(GoodClaims())), Code::kUnauthenticated);
  lab.FinishStep();
}

void TokenOfAnotherSubject(World& world) {
  LabShard lab(&world);
  JobClaims claims = GoodClaims();
  claims.subject = "somebody";
  EXPECT_EQ(KnockWith(lab, Seal(claims)), Code::kPermissionDenied);
  lab.FinishStep();
}

void ExpiredToken(World& world) {
  LabShard lab(&world);
  JobClaims claims = GoodClaims();
  claims.expiry_unix_s -= 3601;
  EXPECT_EQ(KnockWith(lab, Seal(claims)), Code::kUnauthenticated);
  claims.expiry_unix_s = -1;
  EXPECT_EQ(KnockWith(lab, Seal(claims)), Code::kUnauthenticated);
  lab.FinishStep();
}

void OldEpochToken(World& world) {
  LabShard lab(&world);
  lab.Place(2);
  EXPECT_EQ(KnockWith(lab, Seal(GoodClaims())), Code::kPermissionDenied);
}

// Only HMAC-SHA256, 1, is known; 0 might have meant none.
void Downgrade(World& world) {
  LabShard lab(&world);
  for (const char algorithm : {'\0', '\2', '\x7f'}) {
    std::string token = Seal(GoodClaims());
    token[0] = algorithm;
    EXPECT_EQ(KnockWith(lab, token), Code::kUnauthenticated);
    token.resize(token.size() - 32);
    EXPECT_EQ(KnockWith(lab, token), Code::kUnauthenticated);
  }
  lab.FinishStep();
}

// More metadata than 8 KiB is refused by gRPC, before any of ours is asked.
void HugeToken(World& world) {
  LabShard lab(&world);
  EXPECT_NE(KnockWith(lab, std::string(1 << 20, 'x')), Code::kOk);
  EXPECT_EQ(KnockWith(lab, std::string(4000, 'x')), Code::kUnauthenticated);
  lab.FinishStep();
}

void ReplayAfterTheEnd(World& world) {
  LabShard lab(&world);
  Pusher worker(lab);
  EXPECT_EQ(worker.Push(lab.Frames(0)[0]), Verdict::kStored);
  const std::string token = Seal(GoodClaims());
  lab.Release();
  EXPECT_EQ(KnockWith(lab, token), Code::kPermissionDenied);
}

// What is another's does not exist for a submitter, whatever he asks.
void ForeignJob(World& world) {
  const Client mallory = world.coordinator().As(Role::kSubmitter, "mallory");
  v1::GetJobRequest get;
  get.set_job(world.victim().id());
  EXPECT_EQ(mallory.Call(kGetJob, get.SerializeAsString()).status.code(), Code::kNotFound);
  EXPECT_EQ(mallory.Call(kWatchJob, get.SerializeAsString()).status.code(), Code::kNotFound);
  EXPECT_EQ(mallory.Call(kCancelJob, get.SerializeAsString()).status.code(), Code::kNotFound);
  get.set_job("victim");
  EXPECT_EQ(mallory.Call(kGetJob, get.SerializeAsString()).status.code(), Code::kNotFound);
  const Answer list = mallory.Call(kListJobs, "");
  v1::ListJobsResponse jobs;
  EXPECT_TRUE(list.status.ok() && jobs.ParseFromString(list.bytes));
  EXPECT_EQ(jobs.jobs_size(), 0);
}

void WorkerCancels(World& world) {
  v1::CancelJobRequest request;
  request.set_job(world.victim().id());
  const Client worker = world.coordinator().As(Role::kWorker, "victim");
  EXPECT_EQ(worker.Call(kCancelJob, request.SerializeAsString()).status.code(),
            Code::kPermissionDenied);
}

// The last lease was the victim's; who names it without having been given it is not heard. Nor may
// a worker call itself by the victim's name.
void LeaseOfAnother(World& world) {
  {
    Rogue rogue(world);
    EXPECT_TRUE(rogue.Say(DoneMessage(world, world.victim().last_lease())));
    EXPECT_TRUE(rogue.Leave().ok());
  }
  const Client client = world.coordinator().As(Role::kWorker, "rogue");
  const std::unique_ptr<Stream> stream = client.Open(kWorkerSession);
  EXPECT_TRUE(stream->Write(RegisterMessage("victim").SerializeAsString()));
  EXPECT_EQ(stream->Finish().code(), Code::kPermissionDenied);
}

}  // namespace

std::vector<Case> AuthorizationCases() {
  return {
      {29,
       "no token",
       MissingToken,
       {{"auth_failures/no_credentials", 1}, {"auth_failures/bad_token", 1}},
       2},
      {30, "truncated token", TruncatedToken, {{"auth_failures/bad_token", 5}}, 5},
      {31, "token with one bit flipped", FlippedBit, {{"auth_failures/bad_token", 5}}, 5},
      {32,
       "token of another job",
       TokenOfAnotherJob,
       {{"auth_failures/stale_token", 2}, {"auth_failures/bad_token", 1}},
       3},
      {33, "token of another subject", TokenOfAnotherSubject, {{"auth_failures/forbidden", 1}}, 1},
      {34, "expired token", ExpiredToken, {{"auth_failures/expired_token", 2}}, 2},
      {35, "token of an epoch that is over", OldEpochToken, {{"auth_failures/stale_token", 1}}, 1},
      {36, "token of another algorithm", Downgrade, {{"auth_failures/bad_token", 6}}, 6},
      {37, "token of a megabyte", HugeToken, {{"auth_failures/bad_token", 1}}, 1},
      {38,
       "token shown after the job's end",
       ReplayAfterTheEnd,
       {{"auth_failures/stale_token", 1}},
       1},
      {39, "user reads a foreign job", ForeignJob},
      {40, "worker cancels a job", WorkerCancels, {{"auth_failures/forbidden", 1}}, 1},
      {41,
       "worker speaks of another's lease, in another's name",
       LeaseOfAnother,
       {{"refused_messages/lease", 1}, {"auth_failures/forbidden", 1}},
       1},
  };
}

}  // namespace drover::bad_input
