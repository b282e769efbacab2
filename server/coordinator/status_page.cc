#include "server/coordinator/status_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/digest.h"
#include "server/coordinator/status_json.h"

namespace drover {
namespace {

constexpr size_t kJobBytesMax = 64;

// "'sha256-...'" of what stands between the first <tag> and the </tag> after it.
std::string HashOf(std::string_view html, const std::string& tag) {
  const std::string open = "<" + tag + ">";
  const size_t begin = html.find(open);
  if (begin == html.npos) return "'none'";
  const std::string_view rest = html.substr(begin + open.size());
  const std::string_view text = rest.substr(0, rest.find("</" + tag + ">"));
  Sha256 digest;
  digest.Update(text.data(), text.size());
  return fmt::format("'sha256-{}'", digest.Base64Digest());
}

bool MayBeInName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

std::string JobInQuery(std::string_view query) {
  static constexpr std::string_view kKey = "job=";
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (!pair.starts_with(kKey)) continue;
    const std::string_view value = pair.substr(kKey.size());
    if (value.size() > kJobBytesMax || !std::all_of(value.begin(), value.end(), MayBeInName)) {
      return "";
    }
    return std::string(value);
  }
  return "";
}

std::string ContentSecurityPolicy(std::string_view html) {
  return fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      HashOf(html, "script"), HashOf(html, "style"));
}

StatusPage::StatusPage(Gather gather, const Clock* clock)
    : gather_(std::move(gather)),
      clock_(clock),
      html_headers_(fmt::format("Content-Security-Policy: {}\r\nReferrer-Policy: no-referrer\r\n",
                                ContentSecurityPolicy(kStatusPageHtml))) {}

std::vector<HttpPage> StatusPage::Pages() {
  return {{"/", [this](const std::string& /*query*/) { return Html(); }},
          {"/api/status", [this](const std::string& query) { return Json(query); }}};
}

HttpAnswer StatusPage::Html() const {
  return {"200 OK", "text/html; charset=utf-8", html_headers_, std::string(kStatusPageHtml)};
}

HttpAnswer StatusPage::Json(const std::string& query) {
  static constexpr char kType[] = "application/json";
  static constexpr char kHeaders[] = "Cross-Origin-Resource-Policy: same-origin\r\n";
  const std::string job = JobInQuery(query);
  {
    MutexLock lock(&mutex_);
    const auto found = kept_.find(job);
    if (found != kept_.end() && clock_->Now() < found->second.until) {
      return {"200 OK", kType, kHeaders, found->second.body};
    }
  }
  const Result<StatusFacts> facts = gather_(job);
  if (!facts.ok()) {
    return {"503 Service Unavailable", "text/plain; charset=utf-8", kHeaders,
            facts.status().message() + "\n"};
  }
  std::string body = StatusToJson(facts.value());
  MutexLock lock(&mutex_);
  const Instant now = clock_->Now();
  std::erase_if(kept_, [now](const auto& kept) { return kept.second.until <= now; });
  if (kept_.size() < kKeptMax) kept_[job] = {now + kKeep, body};
  return {"200 OK", kType, kHeaders, std::move(body)};
}

}  // namespace drover
