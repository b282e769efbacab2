#include "server/coordinator/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace drover {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TurnedClock final : public Clock {
 public:
  Instant Now() const override { return now_; }
  int64_t UnixMilliseconds() const override { return 0; }
  void Advance(Duration by) { now_ = now_ + by; }

 private:
  Instant now_;
};

class StatusPageTest : public ::testing::Test {
 protected:
  HttpAnswer Get(const std::string& path, const std::string& query = "") {
    for (const HttpPage& page : page_.Pages()) {
      if (page.path == path) return page.answer(query);
    }
    return {};
  }

  TurnedClock clock_;
  std::vector<std::string> asked_;
  Status failure_;
  StatusPage page_{[this](const std::string& job) -> Result<StatusFacts> {
                     asked_.push_back(job);
                     if (!failure_.ok()) return failure_;
                     StatusFacts facts;
                     facts.version = "of " + job;
                     return facts;
                   },
                   &clock_};
};

TEST_F(StatusPageTest, TheRootIsOneFileThatAsksNobodyElse) {
  const HttpAnswer answer = Get("/");

  EXPECT_EQ(answer.status, "200 OK");
  EXPECT_EQ(answer.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(answer.body, HasSubstr("<!DOCTYPE html>"));
  EXPECT_THAT(answer.body, Not(HasSubstr("https://")));
  EXPECT_THAT(answer.body, Not(HasSubstr("innerHTML")));
  EXPECT_THAT(answer.body, Not(HasSubstr(" style=")));  // The policy would refuse it.
  EXPECT_THAT(answer.headers, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(answer.headers, Not(HasSubstr("unsafe")));
}

TEST_F(StatusPageTest, TheFactsComeAsJson) {
  const HttpAnswer answer = Get("/api/status", "job=digits");

  EXPECT_EQ(answer.status, "200 OK");
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_THAT(answer.body, HasSubstr("\"version\":\"of digits\""));
}

TEST_F(StatusPageTest, ManyBrowsersCostNoMoreThanOne) {
  for (int i = 0; i < 10; ++i) Get("/api/status");
  EXPECT_EQ(asked_.size(), 1u);

  Get("/api/status", "job=other");
  EXPECT_EQ(asked_.size(), 2u);

  clock_.Advance(StatusPage::kKeep);
  Get("/api/status");
  EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(StatusPageTest, NamesThatNobodyHasDoNotFillTheMemory) {
  for (int i = 0; i < 100; ++i) Get("/api/status", "job=j" + std::to_string(i));

  EXPECT_EQ(Get("/api/status", "job=j99").status, "200 OK");  // Answered, not kept.
  EXPECT_EQ(asked_.size(), 101u);
}

TEST_F(StatusPageTest, ABusyCoordinatorSaysSo) {
  failure_ = Status(Code::kUnavailable, "the coordinator is busy");

  const HttpAnswer answer = Get("/api/status");

  EXPECT_EQ(answer.status, "503 Service Unavailable");
  EXPECT_EQ(answer.body, "the coordinator is busy\n");
}

TEST(JobInQueryTest, OnlyWhatCanBeAJobIsTaken) {
  EXPECT_EQ(JobInQuery("job=digits"), "digits");
  EXPECT_EQ(JobInQuery("a=b&job=00ab_-Z"), "00ab_-Z");
  EXPECT_EQ(JobInQuery("job=a&job=b"), "a");
  EXPECT_EQ(JobInQuery(""), "");
  EXPECT_EQ(JobInQuery("&&&"), "");
  EXPECT_EQ(JobInQuery("jobs=x"), "");
  EXPECT_EQ(JobInQuery("job=%3Cimg%3E"), "");
  EXPECT_EQ(JobInQuery("job=../../etc"), "");
  EXPECT_EQ(JobInQuery("job=" + std::string(65, 'a')), "");
}

// Hashes by: printf TEXT | openssl dgst -sha256 -binary | base64
TEST(ContentSecurityPolicyTest, NamesTheHashesOfScriptAndStyle) {
  const std::string policy =
      ContentSecurityPolicy("<style>a{}</style><p>x</p><script>alert(1)</script>");

  EXPECT_THAT(policy,
              HasSubstr("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"));
  EXPECT_THAT(policy, HasSubstr("style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk='"));
  EXPECT_THAT(ContentSecurityPolicy("<p>"), HasSubstr("script-src 'none'; style-src 'none'"));
}

}  // namespace
}  // namespace drover
