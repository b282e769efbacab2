#include "server/cli/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kGibi = int64_t{1} << 30;

TEST(DoctorTest, JudgesNumbers) {
  EXPECT_EQ(JudgeMemory(4 * kGibi).verdict, Health::kOk);
  EXPECT_EQ(JudgeMemory(kGibi).verdict, Health::kWarn);
  EXPECT_EQ(JudgeMemory(-1).verdict, Health::kWarn);
  EXPECT_EQ(JudgeFileLimit(1024, 4096).verdict, Health::kOk);
  EXPECT_EQ(JudgeFileLimit(256, 4096).verdict, Health::kWarn);
  EXPECT_EQ(JudgeDisk("/d", 10 * kGibi).verdict, Health::kOk);
  EXPECT_EQ(JudgeDisk("/d", kGibi).verdict, Health::kWarn);
  EXPECT_EQ(JudgeDisk("/d", 1 << 20).verdict, Health::kFail);
}

TEST(DoctorTest, GpusAreDescribedOrTheReasonIsGiven) {
  GpuInfo gpu;
  gpu.name = "NVIDIA H100 80GB HBM3";
  gpu.free_bytes = 79 * kGibi;
  gpu.total_bytes = 80 * kGibi;
  gpu.driver_version = 13010;
  gpu.runtime_version = 13000;
  const Status no_driver(Code::kFailedPrecondition, "no NVIDIA driver: install it");

  EXPECT_EQ(JudgeGpus(std::vector<GpuInfo>{gpu, gpu}, true).found,
            "2 x NVIDIA H100 80GB HBM3, 79.0 GiB of 80.0 GiB free on the first, driver for CUDA "
            "13.1, built with 13.0");
  EXPECT_EQ(JudgeGpus(no_driver, false).verdict, Health::kOk);
  EXPECT_EQ(JudgeGpus(no_driver, false).found, "none; workers use the CPU");
  EXPECT_EQ(JudgeGpus(no_driver, true).verdict, Health::kWarn);
  EXPECT_EQ(JudgeGpus(no_driver, true).hint, "no NVIDIA driver: install it");
}

TEST(DoctorTest, AGpuWithoutCublasLtCannotTrain) {
  const Status absent(Code::kNotFound, "cuBLASLt cannot be loaded: install it");

  EXPECT_EQ(JudgeCublasLt(size_t{130100}).found, "13.1.0");
  EXPECT_EQ(JudgeCublasLt(size_t{130100}).verdict, Health::kOk);
  EXPECT_EQ(JudgeCublasLt(absent).verdict, Health::kWarn);
  EXPECT_EQ(JudgeCublasLt(absent).hint, "cuBLASLt cannot be loaded: install it");
}

TEST(DoctorTest, NcclMattersFromTheSecondGpuOn) {
  const Status absent(Code::kNotFound, "NCCL cannot be loaded: install it");

  EXPECT_EQ(JudgeNccl(22809, 8).found, "2.28.9");
  EXPECT_EQ(JudgeNccl(absent, 1).verdict, Health::kOk);
  EXPECT_EQ(JudgeNccl(absent, 2).verdict, Health::kWarn);
  EXPECT_EQ(JudgeNccl(absent, 2).hint, "NCCL cannot be loaded: install it");
}

TEST(DoctorTest, WhatIsNotFineHasAHint) {
  for (const Finding& finding : ExamineMachine("/nonexistent")) {
    EXPECT_THAT(finding.found, Not(IsEmpty())) << finding.subject;
    if (finding.verdict != Health::kOk) {
      EXPECT_THAT(finding.hint, Not(IsEmpty())) << finding.subject;
    }
  }
}

TEST(DoctorTest, PrintsTableAndJson) {
  const std::vector<Finding> findings = {{"cores", Health::kOk, "2 usable", ""},
                                         {"disk", Health::kFail, "none", "buy one"}};

  EXPECT_EQ(FormatFindings(findings, false),
            "ok    cores         2 usable\n"
            "fail  disk          none\n"
            "                    hint: buy one\n");
  EXPECT_EQ(nlohmann::json::parse(FindingsToJson(findings))[1]["verdict"], "fail");
}

TEST(DoctorTest, AMissingDirectoryFails) {
  GlobalOptions global;
  testing::internal::CaptureStdout();
  EXPECT_EQ(DoctorCommand(global, "/nonexistent"), 1);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("fail  disk"));
}

}  // namespace
}  // namespace drover
