#include "common/gpu/nccl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(NcclLoadTest, TakesTheFirstLibraryThatIsThere) {
  Result<NcclApi> nccl = LoadNccl({"/nowhere/libnccl.so.2", DROVER_NEW_NCCL});

  ASSERT_TRUE(nccl.ok()) << nccl.status().message();
  int version = 0;
  EXPECT_EQ(nccl.value().GetVersion(&version), kNcclSuccess);
  EXPECT_EQ(version, 22809);
}

TEST(NcclLoadTest, AbsenceNamesEveryTryWhyAndWhatToInstall) {
  const Status status =
      LoadNccl({"libnccl-that-is-nowhere.so.2", "/nowhere/libnccl.so.2"}).status();

  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("libnccl-that-is-nowhere.so.2: cannot open shared object file"),
                    HasSubstr("/nowhere/libnccl.so.2: cannot open shared object file"),
                    HasSubstr("apt-get install libnccl2")));
}

TEST(NcclLoadTest, RefusesALibraryThatIsNotNccl) {
  const Status status = LoadNccl({"libm.so.6"}).status();

  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("libm.so.6 is no NCCL 2"), HasSubstr("it lacks ncclGetVersion, ")));
}

TEST(NcclLoadTest, RefusesAnOldNccl) {
  const Status status = LoadNccl({DROVER_OLD_NCCL}).status();

  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("is version 2.4.2: expected 2.7.0 or later"));
}

TEST(NcclStatusTest, SaysWhatNcclSays) {
  NcclApi nccl;
  nccl.GetErrorString = [](NcclResult) { return "unhandled system error"; };

  EXPECT_TRUE(NcclStatus(nccl, kNcclSuccess, "sum").ok());
  EXPECT_EQ(NcclStatus(nccl, 2, "sum").ToString(), "INTERNAL: sum: unhandled system error");
  nccl.GetLastError = [](NcclComm) { return "no socket"; };
  EXPECT_EQ(NcclStatus(nccl, 2, "sum").message(), "sum: unhandled system error (no socket)");
  EXPECT_EQ(NcclStatus(nccl, kNcclInvalidArgument, "sum").code(), Code::kInvalidArgument);
}

TEST(NcclStatusTest, VersionsHaveNames) {
  EXPECT_EQ(NcclVersionName(22809), "2.28.9");
  EXPECT_EQ(NcclVersionName(2708), "2.7.8");
  EXPECT_EQ(NcclVersionName(2402), "2.4.2");
}

}  // namespace
}  // namespace drover
