#include "common/rpc/job_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_job_service.h"

namespace drover {
namespace {

using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::SizeIs;

constexpr char kId[] = "00000000000000a7";

v1::Job MakeJob() {
  v1::Job job;
  job.set_id(kId);
  job.mutable_spec()->set_name("digits");
  job.set_state(v1::JOB_STATE_RUNNING);
  return job;
}

std::vector<v1::JobEvent> Events(int64_t first, int64_t last) {
  std::vector<v1::JobEvent> events;
  for (int64_t sequence = first; sequence <= last; ++sequence) {
    v1::JobEvent event;
    event.set_sequence(sequence);
    event.mutable_log()->set_text("line");
    events.push_back(event);
  }
  return events;
}

std::vector<int64_t> ReadAll(JobStream* stream) {
  std::vector<int64_t> sequences;
  while (!stream->done()) {
    const std::optional<v1::JobEvent> event = stream->Next(std::chrono::milliseconds(100));
    if (event.has_value()) sequences.push_back(event->sequence());
  }
  return sequences;
}

TEST(JobClientTest, EveryCallReachesItsMethod) {
  FakeJobService service;
  service.SetJob(MakeJob());
  JobClient client(service.address());
  v1::JobSpec spec;
  spec.set_name("other");

  EXPECT_EQ(client.Create(spec, "request-1").value().spec().name(), "other");
  EXPECT_EQ(client.Get("digits").value().id(), kId);
  EXPECT_EQ(client.Cancel(kId).value().id(), kId);
  EXPECT_EQ(client.Suspend(kId).value().id(), kId);
  EXPECT_EQ(client.Resume(kId).value().id(), kId);
  EXPECT_TRUE(client.Delete(kId).ok());
  EXPECT_THAT(client.List().value(), SizeIs(1));
  EXPECT_EQ(client.ListCheckpoints("").value()[0].id(), std::string(kId) + "-50");
  EXPECT_THAT(service.request_ids(), ElementsAre("request-1"));
}

TEST(JobClientTest, ErrorsKeepTheirCodeAndMessage) {
  FakeJobService service;
  service.SetJob(MakeJob());
  JobClient client(service.address());

  const Result<v1::Job> job = client.Get("nothing");

  ASSERT_FALSE(job.ok());
  EXPECT_EQ(job.status().code(), Code::kNotFound);
  EXPECT_EQ(job.status().message(), "no job nothing");
}

TEST(JobClientTest, FailsSoonWhenNobodyListens) {
  std::string address;
  {
    FakeJobService service;
    address = service.address();
  }
  JobClient client(address);
  const Instant before = Clock::Real().Now();

  EXPECT_EQ(client.Get("digits").status().code(), Code::kUnavailable);
  EXPECT_LT(Clock::Real().Now() - before, std::chrono::seconds(5));
}

TEST(JobStreamTest, HandsOutAllEventsOfAJobThatEnds) {
  FakeJobService service;
  service.SetJob(MakeJob());
  service.AddStream(Events(1, 5), grpc::Status::OK);
  JobClient client(service.address());

  JobStream stream(client, StreamKind::kWatch, "digits", 2, std::chrono::seconds(5));

  EXPECT_THAT(ReadAll(&stream), ElementsAre(3, 4, 5));
  EXPECT_TRUE(stream.status().ok());
}

TEST(JobStreamTest, ResumesAfterTheLastEventWhenTheServerHasGone) {
  FakeJobService service;
  service.SetJob(MakeJob());
  service.AddStream(Events(1, 2), grpc::Status(grpc::UNAVAILABLE, "going down"));
  service.AddStream(Events(1, 4), grpc::Status(grpc::UNAVAILABLE, "going down again"));
  service.AddStream(Events(5, 6), grpc::Status::OK);
  JobClient client(service.address());

  JobStream stream(client, StreamKind::kLogsFollow, "digits", 0, std::chrono::seconds(30));

  EXPECT_THAT(ReadAll(&stream), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(stream.status().ok());
  EXPECT_THAT(service.after_sequences(), ElementsAre(0, 2, 4));
}

TEST(JobStreamTest, SurvivesARestartOfTheServer) {
  FakeJobService service;
  service.SetJob(MakeJob());
  service.AddStream(Events(1, 2), grpc::Status(grpc::UNAVAILABLE, "going down"));
  JobClient client(service.address());
  JobStream stream(client, StreamKind::kWatch, "digits", 0, std::chrono::seconds(30));
  while (!stream.reconnecting()) (void)stream.Next(std::chrono::milliseconds(5));
  service.Stop();
  service.AddStream(Events(3, 4), grpc::Status::OK);
  service.Restart();

  std::vector<int64_t> sequences = ReadAll(&stream);

  EXPECT_TRUE(stream.status().ok()) << stream.status().message();
  ASSERT_FALSE(sequences.empty());
  EXPECT_EQ(sequences.back(), 4);
}

TEST(JobStreamTest, GivesUpWhenTheServerStaysAway) {
  FakeJobService service;
  service.SetJob(MakeJob());
  service.AddStream(Events(1, 1), grpc::Status(grpc::UNAVAILABLE, "going down"));
  JobClient client(service.address());

  JobStream stream(client, StreamKind::kWatch, "digits", 0, std::chrono::milliseconds(300));

  EXPECT_THAT(ReadAll(&stream), ElementsAre(1));
  EXPECT_EQ(stream.status().code(), Code::kUnavailable);
  EXPECT_THAT(service.after_sequences(), SizeIs(Ge(2U)));
}

TEST(JobStreamTest, DoesNotRetryWhatTheServerHasRefused) {
  FakeJobService service;
  service.SetJob(MakeJob());
  JobClient client(service.address());

  JobStream stream(client, StreamKind::kWatch, "nothing", 0, std::chrono::seconds(30));

  EXPECT_THAT(ReadAll(&stream), ElementsAre());
  EXPECT_EQ(stream.status().code(), Code::kNotFound);
  EXPECT_THAT(service.after_sequences(), SizeIs(1));
}

TEST(JobStreamTest, FailsAtOnceWhenItWasNeverConnected) {
  std::string address;
  {
    FakeJobService service;
    address = service.address();
  }
  JobClient client(address);

  JobStream stream(client, StreamKind::kWatch, "digits", 0, std::chrono::hours(1));

  EXPECT_THAT(ReadAll(&stream), ElementsAre());
  EXPECT_EQ(stream.status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace drover
