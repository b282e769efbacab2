#include "common/tls/identity.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(IdentityTest, GoesThroughItsUri) {
  for (const char* role : {"viewer", "submitter", "admin", "worker", "shard", "coordinator"}) {
    const Identity identity = {ParseRole(role).value(), "gpu-7.rack_2"};
    const Result<Identity> read = IdentityOfUris({IdentityUri(identity)});
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read.value(), identity);
    EXPECT_EQ(IdentityUri(identity), std::string("spiffe://drover/") + role + "/gpu-7.rack_2");
  }
}

TEST(IdentityTest, RefusesEverythingElse) {
  const std::string good = "spiffe://drover/admin/ann";
  for (const std::vector<std::string>& uris :
       std::vector<std::vector<std::string>>{{},
                                             {good, good},
                                             {"spiffe://other/admin/ann"},
                                             {"https://drover/admin/ann"},
                                             {"spiffe://drover/root/ann"},
                                             {"spiffe://drover/Admin/ann"},
                                             {"spiffe://drover/admin"},
                                             {"spiffe://drover/admin/"},
                                             {"spiffe://drover/admin/ann/bob"},
                                             {"spiffe://drover/admin/a\nb"},
                                             {"spiffe://drover/admin/" + std::string(64, 'a')},
                                             {std::string("spiffe://drover/admin/ann\0x", 27)}}) {
    EXPECT_EQ(IdentityOfUris(uris).status().code(), Code::kUnauthenticated);
  }
}

}  // namespace
}  // namespace drover
