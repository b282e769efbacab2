#include "common/gpu/cublaslt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CublasLtLoadTest, TakesTheFirstLibraryThatIsThere) {
  Result<CublasLtApi> cublas = LoadCublasLt({"/nowhere/libcublasLt.so.13", DROVER_NEW_CUBLASLT});

  ASSERT_TRUE(cublas.ok()) << cublas.status().message();
  EXPECT_EQ(cublas.value().GetVersion(), 130100u);
}

TEST(CublasLtLoadTest, AbsenceNamesEveryTryWhyAndWhatToInstall) {
  const Status status =
      LoadCublasLt({"libcublasLt-is-nowhere.so", "/nowhere/libcublasLt.so.12"}).status();

  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(
      status.message(),
      AllOf(HasSubstr("cuBLASLt, which multiplies matrices on GPUs, cannot be loaded"),
            HasSubstr("libcublasLt-is-nowhere.so: cannot open shared object file"),
            HasSubstr("/nowhere/libcublasLt.so.12: cannot open shared object file"),
            HasSubstr("apt-get install libcublas"), HasSubstr("pip install nvidia-cublas")));
}

TEST(CublasLtLoadTest, RefusesALibraryThatIsNotCublasLt) {
  const Status status = LoadCublasLt({"libm.so.6"}).status();

  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("libm.so.6 is no cuBLASLt"),
                                      HasSubstr("it lacks cublasLtGetVersion, ")));
}

TEST(CublasLtLoadTest, RefusesAnOldCublasLt) {
  const Status status = LoadCublasLt({DROVER_OLD_CUBLASLT}).status();

  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("is version 11.11.3: expected 12.0.0 or later"));
}

TEST(CublasLtStatusTest, SaysWhatCublasSays) {
  CublasLtApi cublas;
  cublas.GetStatusString = [](CublasStatus) { return "not supported"; };

  EXPECT_TRUE(CublasLtStatus(cublas, kCublasSuccess, "product").ok());
  EXPECT_EQ(CublasLtStatus(cublas, 15, "product").ToString(), "INTERNAL: product: not supported");
  EXPECT_EQ(CublasLtStatus(cublas, kCublasInvalidValue, "").code(), Code::kInvalidArgument);
  EXPECT_EQ(CublasLtStatus(cublas, kCublasAllocFailed, "").code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace drover
