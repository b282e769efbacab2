#include "common/tls/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/common/tls/temp_folder.h"

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TokenTableTest, HashesAsSha256Does) {
  // printf abc | sha256sum
  EXPECT_EQ(HashToken("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TokenTableTest, NewTokensDiffer) {
  const std::string token = NewToken().value();
  EXPECT_EQ(token.size(), 7u + 64u);
  EXPECT_NE(token, NewToken().value());
}

TEST(TokenTableTest, KnowsWhoseTokenItIs) {
  TempFolder folder;
  const std::string ann = NewToken().value(), bob = NewToken().value();
  const std::vector<TokenEntry> entries = {{{Role::kSubmitter, "ann"}, HashToken(ann)},
                                           {{Role::kViewer, "bob"}, HashToken(bob)}};
  TokenTable table(folder.Write("tokens", FormatTokens(entries)));
  ASSERT_TRUE(table.Load().ok());

  EXPECT_EQ(table.Identify(ann).value(), (Identity{Role::kSubmitter, "ann"}));
  EXPECT_EQ(table.Identify(bob).value(), (Identity{Role::kViewer, "bob"}));
  for (const std::string& bad : {std::string(), std::string("x"), ann + "0", ann.substr(1),
                                 HashToken(ann), std::string(size_t{1} << 20, 'a')}) {
    EXPECT_EQ(table.Identify(bad).status().code(), Code::kUnauthenticated);
  }
}

TEST(TokenTableTest, ARevokedTokenIsNobodysAtOnce) {
  TempFolder folder;
  const std::string ann = NewToken().value();
  TokenTable table(folder.Write("tokens", FormatTokens({{{Role::kAdmin, "ann"}, HashToken(ann)}})));
  ASSERT_TRUE(table.Load().ok());
  ASSERT_TRUE(table.Identify(ann).ok());

  folder.Write("tokens", FormatTokens({}));
  EXPECT_FALSE(table.Identify(ann).ok());
  folder.Write("tokens", FormatTokens({{{Role::kViewer, "ann"}, HashToken(ann)}}));
  EXPECT_EQ(table.Identify(ann).value().role, Role::kViewer);
  folder.Write("tokens", "broken");
  EXPECT_FALSE(table.Identify(ann).ok());
}

TEST(TokenTableTest, RefusesBadFilesWithoutQuotingThem) {
  const std::string hash = HashToken("abc");
  for (const std::string& line : std::vector<std::string>{
           "viewer", "viewer ann " + hash + " more", "worker w " + hash, "root ann " + hash,
           "viewer a/b " + hash, "viewer ann " + hash.substr(1), "viewer ann drover_secret"}) {
    const Result<std::vector<TokenEntry>> entries = ParseTokens("# comment\n\n" + line + "\n");
    ASSERT_FALSE(entries.ok()) << line;
    EXPECT_THAT(entries.status().message(), HasSubstr("line 3"));
    EXPECT_THAT(entries.status().message(), Not(HasSubstr("secret")));
  }
  TempFolder folder;
  EXPECT_THAT(TokenTable(folder.Write("t", "", 0644)).Load().message(), HasSubstr("chmod 600"));
  EXPECT_EQ(TokenTable(folder.path() + "/absent").Load().code(), Code::kNotFound);
}

}  // namespace
}  // namespace drover
