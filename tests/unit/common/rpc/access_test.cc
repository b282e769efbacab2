#include "common/rpc/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "proto/drover/v1/job.pb.h"
#include "proto/drover/v1/shard.pb.h"
#include "proto/drover/v1/tensor.pb.h"
#include "proto/drover/v1/worker.pb.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

// Of every service that is linked in, and those of gRPC's own health check.
std::set<std::string> AllMethods() {
  // Links all files with services in.
  (void)v1::Job::descriptor();
  (void)v1::ShardMessage::descriptor();
  (void)v1::Frame::descriptor();
  (void)v1::WorkerMessage::descriptor();
  std::set<std::string> methods = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"};
  for (const char* file : {"dataset", "job", "model", "optimizer", "shard", "tensor", "worker"}) {
    const google::protobuf::FileDescriptor* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(
            std::string("proto/drover/v1/") + file + ".proto");
    EXPECT_NE(descriptor, nullptr) << file;
    if (descriptor == nullptr) continue;
    for (int s = 0; s < descriptor->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* const service = descriptor->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        methods.insert("/" + service->full_name() + "/" + service->method(m)->name());
      }
    }
  }
  return methods;
}

TEST(AccessTest, TheTableNamesEveryMethodOfEveryServiceAndNoOther) {
  std::set<std::string> named;
  for (const AccessRule& rule : AccessTable()) {
    EXPECT_TRUE(named.insert(std::string(rule.method)).second) << rule.method << " stands twice";
  }
  EXPECT_EQ(named, AllMethods());
}

TEST(AccessTest, WhatIsNotInTheTableIsRefusedToEverybody) {
  for (const char* method : {"", "/", "/drover.v1.JobService/", "/drover.v1.JobService/DropAll",
                             "drover.v1.JobService/GetJob", "/drover.v1.JobService/getjob",
                             "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kAdmin, Role::kWorker,
                            Role::kShard, Role::kCoordinator}) {
      EXPECT_EQ(Authorize(method, Identity{role, "x"}).code(), Code::kPermissionDenied);
    }
  }
}

// Every pair, written out by hand: v viewer, s submitter, a admin, w worker, h shard, c
// coordinator.
TEST(AccessTest, EveryRoleMayCallWhatItNeedsAndNoMore) {
  const std::string job = "/drover.v1.JobService/";
  const std::pair<std::string, std::string> expected[] = {
      {job + "CreateJob", "sa"},
      {job + "GetJob", "vsa"},
      {job + "ListJobs", "vsa"},
      {job + "WatchJob", "vsa"},
      {job + "StreamLogs", "vsa"},
      {job + "CancelJob", "sa"},
      {job + "SuspendJob", "sa"},
      {job + "ResumeJob", "sa"},
      {job + "DeleteJob", "a"},
      {job + "ListCheckpoints", "vsa"},
      {job + "GetMetrics", "vsa"},
      {"/drover.v1.WorkerService/Session", "w"},
      {"/drover.v1.ShardService/Session", "h"},
      {"/drover.v1.TensorService/Exchange", "w"},
      {"/grpc.health.v1.Health/Check", "vsawhc"},
      {"/grpc.health.v1.Health/Watch", "vsawhc"},
  };
  const std::pair<char, Role> roles[] = {{'v', Role::kViewer}, {'s', Role::kSubmitter},
                                         {'a', Role::kAdmin},  {'w', Role::kWorker},
                                         {'h', Role::kShard},  {'c', Role::kCoordinator}};
  ASSERT_EQ(std::size(expected), AccessTable().size());
  for (const auto& [method, who] : expected) {
    EXPECT_EQ(Authorize(method, std::nullopt).code(), Code::kUnauthenticated);
    for (const auto& [letter, role] : roles) {
      const Code code = Authorize(method, Identity{role, "x"}).code();
      EXPECT_EQ(code, who.find(letter) != who.npos ? Code::kOk : Code::kPermissionDenied)
          << method << " by " << RoleName(role);
    }
  }
}

TEST(AccessTest, SaysWhoAndWhatIsNeeded) {
  EXPECT_EQ(Authorize("/drover.v1.JobService/CreateJob", Identity{Role::kViewer, "ann"}).message(),
            "viewer/ann may not call CreateJob: it needs the role submitter or admin");
  EXPECT_THAT(Authorize("/drover.v1.JobService/GetJob", std::nullopt).message(),
              HasSubstr("--token-file"));
}

}  // namespace
}  // namespace drover
