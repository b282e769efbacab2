// J: what users send. Every refused submission is counted once, with the outcome "invalid", and
// names each field that is wrong. Messages that are no messages are refused by gRPC before they are
// submissions, so nothing of ours counts them.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "proto/drover/v1/job.pb.h"
#include "tests/bad_input/control_server.h"
#include "tests/bad_input/http2.h"
#include "tests/bad_input/job_spec.h"
#include "tests/bad_input/victim.h"
#include "tests/bad_input/world.h"

namespace drover::bad_input {
namespace {

using ::testing::HasSubstr;

constexpr char kResumeJob[] = "/drover.v1.JobService/ResumeJob";
constexpr char kDeleteJob[] = "/drover.v1.JobService/DeleteJob";

// What the coordinator of the victim says to a submitter who has not submitted anything yet: one
// caller may try ten times at once.
Status Submit(World& world, const std::string& request) {
  static int callers = 0;
  const std::string name = fmt::format("user-{}", ++callers);
  return world.coordinator().As(Role::kSubmitter, name).Call(kCreateJob, request).status;
}

// The good job with this change is refused, and the message names `field`.
void ExpectInvalid(World& world, const std::string& change, const std::string& field) {
  const Status status = Submit(world, JobRequest(change).SerializeAsString());
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << change;
  EXPECT_THAT(status.message(), HasSubstr(field)) << change;
}

// The same with another model.
void ExpectInvalidModel(World& world, const std::string& model, const std::string& field) {
  v1::CreateJobRequest request = JobRequest();
  request.mutable_spec()->clear_model();
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString("model {" + model + "}",
                                                            request.mutable_spec()));
  const Status status = Submit(world, request.SerializeAsString());
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << model;
  EXPECT_THAT(status.message(), HasSubstr(field)) << model;
}

Counts Invalid(double count) { return {{"job_submissions/invalid", count}}; }

void EmptySpec(World& world) {
  EXPECT_EQ(Submit(world, "").code(), Code::kInvalidArgument);
  v1::CreateJobRequest request;
  request.mutable_spec();
  EXPECT_EQ(Submit(world, request.SerializeAsString()).code(), Code::kInvalidArgument);
}

// Fields 199 of the spec and 99 of its dataset, as a newer client may send them.
void UnknownField(World& world) {
  v1::CreateJobRequest request = JobRequest();
  const v1::JobSpec& spec = request.spec();
  spec.GetReflection()
      ->MutableUnknownFields(request.mutable_spec())
      ->AddLengthDelimited(199, std::string("rm -rf /"));
  EXPECT_THAT(Submit(world, request.SerializeAsString()).message(), HasSubstr("199"));
  request = JobRequest();
  v1::DatasetSpec* dataset = request.mutable_spec()->mutable_dataset();
  dataset->GetReflection()->MutableUnknownFields(dataset)->AddVarint(99, 1);
  EXPECT_THAT(Submit(world, request.SerializeAsString()).message(), HasSubstr("99"));
}

void UnknownEnum(World& world) {
  v1::CreateJobRequest request = JobRequest();
  request.mutable_spec()->set_on_nonfinite(static_cast<v1::JobSpec::OnNonfinite>(77));
  request.mutable_spec()->set_precision(static_cast<v1::JobSpec::Precision>(-1));
  const Status status = Submit(world, request.SerializeAsString());
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("on_nonfinite"));
  EXPECT_THAT(status.message(), HasSubstr("precision"));
}

void BadBatch(World& world) {
  for (const char* batch : {"-1", "0", "9223372036854775807", "-9223372036854775808"}) {
    ExpectInvalid(world, fmt::format("batch: {}", batch), "batch");
  }
}

void BatchThatDoesNotDivide(World& world) {
  ExpectInvalid(world, "batch: 63", "batch");
  ExpectInvalid(world, "leaves: 5000 batch: 80000", "leaves");
  ExpectInvalid(world, "micro_batch: 15", "micro_batch");
}

void BadRates(World& world) {
  for (const char* peak : {"nan", "inf", "-inf", "-0.1"}) {
    ExpectInvalid(world, fmt::format("schedule {{ peak: {} }}", peak), "peak");
  }
  for (const char* field : {"beta1", "beta2"}) {
    for (const char* value : {"1", "1.5", "-0.1", "nan"}) {
      ExpectInvalid(world, fmt::format("optimizer {{ lamb {{ {}: {} }} }}", field, value), field);
    }
  }
  ExpectInvalid(world, "optimizer { lamb { eps: 0 } }", "eps");
  ExpectInvalid(world, "optimizer { lamb { weight_decay: nan } }", "weight_decay");
}

// 1e12 parameters: 20 layers of 65,536 x 65,536 and more.
void TooManyParameters(World& world) {
  std::string hidden;
  for (int layer = 0; layer < 60; ++layer) hidden += "hidden: 65536 ";
  ExpectInvalid(world, fmt::format("model {{ mlp {{ {} }} }}", hidden), "parameters");
}

// What comes before the content of a field with a number below 16, of so many bytes.
std::string FieldHead(int number, size_t bytes) {
  std::string head(1, static_cast<char>(number << 3 | 2));
  for (; bytes >= 0x80; bytes >>= 7) head += static_cast<char>(bytes | 0x80);
  return head + static_cast<char>(bytes);
}

// `count` times the one layer of `model` in a request, written as bytes, once: a message of them
// would be the larger attack, on this process.
std::string RequestOfLayers(size_t count, const v1::ModelSpec& model) {
  const std::string layer = model.SerializeAsString();
  v1::CreateJobRequest whole = JobRequest();
  whole.mutable_spec()->clear_model();
  // The fields of a message that comes twice are merged.
  const std::string inner = FieldHead(v1::JobSpec::kModelFieldNumber, count * layer.size());
  std::string request = whole.SerializeAsString();
  request.reserve(request.size() + count * layer.size() + 32);
  request += FieldHead(v1::CreateJobRequest::kSpecFieldNumber, inner.size() + count * layer.size());
  request += inner;
  for (size_t i = 0; i < count; ++i) request += layer;
  return request;
}

// A million of three bytes each do not fit into a message of a megabyte. What fits is more than a
// network may have.
void TooManyTensors(World& world) {
  v1::ModelSpec model;
  v1::Layer* const layer = model.add_layers();
  EXPECT_EQ(Submit(world, RequestOfLayers(1'000'000, model)).code(), Code::kResourceExhausted);
  layer->mutable_dense()->set_size(1);
  EXPECT_EQ(Submit(world, RequestOfLayers(20'000, model)).code(), Code::kInvalidArgument);
}

void DuplicateNames(World& world) {
  ExpectInvalidModel(
      world, "layers { name: 'a' dense { size: 9 } } layers { name: 'a' dense { size: 10 } }",
      "name");
}

// Products of extents that overflow 64 bits, through every field that has an extent.
void ShapeOverflow(World& world) {
  ExpectInvalidModel(world, "mlp { hidden: 8589934592 hidden: 8589934592 }", "hidden");
  ExpectInvalidModel(world, "layers { dense { size: 8589934592 } }", "size");
  ExpectInvalidModel(world, "layers { dense { size: 9223372036854775807 } }", "size");
}

void BadNames(World& world) {
  const std::array<std::string, 7> names = {std::string("a\0b", 3),
                                            "a\nlevel=error forged",
                                            "\x1b[31mred",
                                            "a\xe2\x80\xae"
                                            "gnp.exe",
                                            std::string(10'000, 'a'),
                                            "",
                                            "../a"};
  for (const std::string& name : names) {
    v1::CreateJobRequest request = JobRequest();
    request.mutable_spec()->set_name(name);
    const Status status = Submit(world, request.SerializeAsString());
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("name"));
    EXPECT_LT(status.message().size(), 2000u);
  }
  // Invalid UTF-8 in a field of text is no message.
  std::string bytes = JobRequest("name: 'placeholder'").SerializeAsString();
  bytes.replace(bytes.find("placeholder"), 11, "\xc3(\xff\xfe\xf8\x88\x80\x80\x80\xc0\xaf");
  EXPECT_FALSE(Submit(world, bytes).ok());
}

// ---- Jobs that are created, at a coordinator of their own.

void SameRequestSameBody(World& world) {
  ControlServer lab(&world);
  const Client user = lab.As(Role::kSubmitter);
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    const Answer answer = user.Call(kCreateJob, JobRequest("", "r").SerializeAsString());
    v1::CreateJobResponse response;
    ASSERT_TRUE(answer.status.ok() && response.ParseFromString(answer.bytes));
    ids.insert(response.job().id());
  }
  EXPECT_EQ(ids.size(), 1u);
}

void SameRequestOtherBody(World& world) {
  ControlServer lab(&world);
  const Client user = lab.As(Role::kSubmitter);
  ASSERT_TRUE(user.Call(kCreateJob, JobRequest("", "r").SerializeAsString()).status.ok());
  EXPECT_EQ(user.Call(kCreateJob, JobRequest("steps: 41", "r").SerializeAsString()).status.code(),
            Code::kAlreadyExists);
}

// Three jobs of one user where two may wait.
void TooManyJobs(World& world) {
  ControlServer::Options options;
  options.jobs_per_owner = 2;
  ControlServer lab(&world, "lab", options);
  const Client user = lab.As(Role::kSubmitter, "greedy");
  const auto submit = [](const Client& client) {
    return client.Call(kCreateJob, JobRequest().SerializeAsString()).status.code();
  };
  EXPECT_EQ(submit(user), Code::kOk);
  EXPECT_EQ(submit(user), Code::kOk);
  EXPECT_EQ(submit(user), Code::kResourceExhausted);
  EXPECT_EQ(submit(lab.As(Role::kSubmitter, "modest")), Code::kOk);
}

void CancelTwice(World& world) {
  ControlServer lab(&world);
  const Client user = lab.As(Role::kAdmin);
  ASSERT_TRUE(user.Call(kCreateJob, JobRequest().SerializeAsString()).status.ok());
  const auto cancel = [&user](const std::string& job) {
    v1::CancelJobRequest request;
    request.set_job(job);
    return user.Call(kCancelJob, request.SerializeAsString()).status.code();
  };
  EXPECT_EQ(cancel("digits"), Code::kOk);
  EXPECT_EQ(cancel("digits"), Code::kOk);  // A repeat says what is so already.
  v1::ResumeJobRequest resume;
  resume.set_job("digits");
  EXPECT_EQ(user.Call(kResumeJob, resume.SerializeAsString()).status.code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(cancel("nobody"), Code::kNotFound);
  EXPECT_EQ(cancel(""), Code::kNotFound);
  EXPECT_EQ(cancel(std::string(5000, '0')), Code::kNotFound);
  v1::DeleteJobRequest gone;
  gone.set_job("digits");
  EXPECT_TRUE(user.Call(kDeleteJob, gone.SerializeAsString()).status.ok());
  EXPECT_EQ(cancel("digits"), Code::kNotFound);
}

// 1,000 watchers of the victim, by ten users (each may call a hundred times at once) and with a
// window of 0: 64 are served, each with a thread that waits for its reader; the others are told at
// once to come again.
void WatchersThatDoNotRead(World& world) {
  v1::WatchJobRequest request;
  request.set_job(world.victim().id());
  const std::string body = GrpcMessage(request.SerializeAsString());
  std::vector<Http2Client> clients;
  int told = 0;
  for (int connection = 0; connection < 10; ++connection) {
    RawConnection raw(world.coordinator().port());
    ASSERT_TRUE(raw.Handshake({world.pki().Issue({Role::kViewer, fmt::format("v-{}", connection)})},
                              kPatience));
    clients.emplace_back(std::move(raw));
    ASSERT_TRUE(clients.back().Start(std::string("\0\4", 2) + BigEndian(0)));
    std::string calls;
    for (uint32_t stream = 1; stream < 200; stream += 2) {
      calls += Http2Frame(kHeaders, kEndHeaders, stream, HeaderBlock(GrpcHeaders(kWatchJob)));
      calls += Http2Frame(kData, kEndStream, stream, body);
    }
    ASSERT_TRUE(clients.back().Send(calls));
    // What ends is what was turned away.
    const int turned_away = connection == 0 ? 100 - 64 : 100;
    for (int i = 0; i < turned_away; ++i) {
      const Ending ending = clients.back().Await(0, kPatience);
      told += ending.kind == Ending::kStatus ? 1 : 0;
      if (ending.kind != Ending::kStatus) break;
    }
  }
  EXPECT_EQ(told, 1000 - 64);
}

void BadSteps(World& world) {
  for (const char* steps : {"0", "-1", "4611686018427387904"}) {
    ExpectInvalid(world, fmt::format("steps: {}", steps), "steps");
  }
}

}  // namespace

std::vector<Case> JobCases() {
  return {
      {42, "empty spec", EmptySpec, Invalid(2)},
      {43, "unknown field", UnknownField, Invalid(2)},
      {44, "unknown enum value", UnknownEnum, Invalid(1)},
      {45, "negative, zero and huge batch", BadBatch, Invalid(4)},
      {46, "batch that does not divide into leaves", BatchThatDoesNotDivide, Invalid(3)},
      {47, "learning rate, betas and eps out of range", BadRates, Invalid(14)},
      {48, "1e12 parameters", TooManyParameters, Invalid(1)},
      {49, "a million tensors", TooManyTensors, Invalid(1)},
      {50, "duplicate names of tensors", DuplicateNames, Invalid(1)},
      {51, "overflow in a shape", ShapeOverflow, Invalid(3)},
      {52, "bad names", BadNames, Invalid(7)},
      {57, "same request id, same body", SameRequestSameBody, {{"job_submissions/duplicate", 2}}},
      {58, "same request id, other body", SameRequestOtherBody, {{"job_submissions/duplicate", 1}}},
      {59, "more jobs than a user may have", TooManyJobs, {{"job_submissions/quota", 1}}},
      {60, "cancelling what is cancelled or unknown", CancelTwice},
      {61, "1,000 watchers that do not read", WatchersThatDoNotRead},
      {62, "0, -1 and 2^62 steps", BadSteps, Invalid(3)},
  };
}

}  // namespace drover::bad_input
