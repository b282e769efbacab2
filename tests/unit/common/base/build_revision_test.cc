#include "common/base/build_revision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(BuildRevisionTest, IsACommitOrUnknown) {
  EXPECT_THAT(std::string(kBuildRevision), ::testing::MatchesRegex("[0-9a-f]{12}|unknown"));
}

// Whoever compares releases reads the first line.
TEST(BuildRevisionTest, StandsBehindTheVersion) {
  EXPECT_EQ(VersionText("drover 1.2.3"), "drover 1.2.3\nrevision " + std::string(kBuildRevision));
}

}  // namespace
}  // namespace drover
