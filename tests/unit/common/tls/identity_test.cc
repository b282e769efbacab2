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

TEST(IdentityTest, ACertificateAllowsItsNameAndNamesBehindIt) {
  for (const char* name : {"worker", "worker-1", "worker-6d4f-x", "worker.rack-2", "worker-"}) {
    EXPECT_TRUE(MayUseName("worker", name)) << name;
  }
  for (const char* name : {"", "work", "workers", "worker1", "worker_1", "Worker", "a-worker",
                           "worker- ", "worker/1"}) {
    EXPECT_FALSE(MayUseName("worker", name)) << name;
  }
  EXPECT_FALSE(MayUseName("worker-1", "worker"));
  EXPECT_FALSE(MayUseName("worker-1", "worker-10"));
}

TEST(IdentityTest, ANodeIsCalledAsItsCertificateAllows) {
  const Identity worker = {Role::kWorker, "worker"};
  EXPECT_EQ(NodeName("", "host-1", std::nullopt).value(), "host-1");
  EXPECT_EQ(NodeName("w", "host-1", std::nullopt).value(), "w");
  EXPECT_EQ(NodeName("", "host-1", worker).value(), "worker-host-1");
  EXPECT_EQ(NodeName("", "worker-1", worker).value(), "worker-1");
  EXPECT_EQ(NodeName("worker-2", "host-1", worker).value(), "worker-2");
  EXPECT_EQ(NodeName("", std::string(63, 'h'), worker).value(), "worker-" + std::string(56, 'h'));
  const Status refused = NodeName("w", "host-1", worker).status();
  EXPECT_EQ(refused.code(), Code::kPermissionDenied);
  EXPECT_EQ(refused.message(),
            "--name \"w\" with a certificate of worker/worker: expected worker or a name that "
            "begins with worker-");
}

}  // namespace
}  // namespace drover
