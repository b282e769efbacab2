#include "server/checkpoint_manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/base/digest.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

// The worked example of docs/formats.md, from tests/golden/checkpoint_formats.py.
constexpr char kExample[] =
    R"(drover checkpoint 1
job 0123456789abcdef
job_name example
version 7
applied 6
epoch 3
rule sgd
slots 0
spec_digest -
numeric_class cpu onednn-2.6.3 avx512_core f32
weights_digest c04f0fbc67adb4cbe9cba71397bd7ba16ffbcab90f13736cebb5f5af9fc8c299
created_unix_ms 1700000000000
tensors 1
tensor w constant 00000000 2
files 1
file shard-0-of-1.bin 192 cc86b2840521b3e24c1c2fef64677e0c 0 1
sha256 47a7427d3e5985dc910007e0d9e1b6a73e032dea8d21edd74c76c6584249943b
)";

Manifest Example() {
  Manifest manifest;
  manifest.job = 0x0123456789abcdef;
  manifest.job_name = "example";
  manifest.version = 7;
  manifest.applied = 6;
  manifest.epoch = 3;
  manifest.rule = "sgd";
  manifest.numeric_class = "cpu onednn-2.6.3 avx512_core f32";
  manifest.weights_digest = "c04f0fbc67adb4cbe9cba71397bd7ba16ffbcab90f13736cebb5f5af9fc8c299";
  manifest.created_unix_ms = 1'700'000'000'000;
  manifest.tensors = {{"w", {2}, {}}};
  manifest.files = {{"shard-0-of-1.bin", 192, "cc86b2840521b3e24c1c2fef64677e0c", {0, 1}}};
  return manifest;
}

// A manifest as a hostile writer may sign it: the digest in the last line is right.
std::string Signed(const std::string& body) {
  Sha256 digest;
  digest.Update(body.data(), body.size());
  return body + "sha256 " + digest.HexDigest() + "\n";
}

std::string Body() {
  const std::string text = kExample;
  return text.substr(0, text.find("sha256"));
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ManifestTest, TextIsThatOfTheDocumentedExample) {
  EXPECT_EQ(RenderManifest(Example()), kExample);
  const Result<Manifest> parsed = ParseManifest(kExample);
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed.value(), Example());
}

TEST(ManifestTest, EveryFieldComesBack) {
  Manifest manifest = Example();
  manifest.slots = 2;
  manifest.spec_digest = std::string(64, 'a');
  manifest.numeric_class = "";
  manifest.tensors = {{"layer1/w", {3, 65537, 1}, {InitRule::Kind::kUniform, 0.1f}},
                      {"b", {1}, {InitRule::Kind::kConstant, -0.0f}},
                      {"n", {2}, {InitRule::Kind::kNormal, 0.02f}},
                      {"r", {6}, {InitRule::Kind::kConstantRange, 1.0f, 2, 4}}};
  manifest.files = {{"shard-0-of-3.bin", 5, std::string(32, '0'), {0, 2}},
                    {"shard-1-of-3.bin", 6, std::string(32, '1'), {2, 2}},
                    {"shard-2-of-3.bin", UINT64_MAX, std::string(32, '2'), {2, 7}}};

  const Result<Manifest> parsed = ParseManifest(RenderManifest(manifest));

  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed.value(), manifest);
}

TEST(ManifestTest, FaultsOfOurOwnManifestsAreNamed) {
  const std::vector<std::pair<std::string, std::function<void(Manifest&)>>> cases = {
      {"job_name", [](Manifest& m) { m.job_name = "a b"; }},
      {"job_name", [](Manifest& m) { m.job_name = ""; }},
      {"rule", [](Manifest& m) { m.rule = "../x"; }},
      {"applied", [](Manifest& m) { m.applied = m.version + 1; }},
      {"slots", [](Manifest& m) { m.slots = 17; }},
      {"spec_digest", [](Manifest& m) { m.spec_digest = "abc"; }},
      {"numeric_class", [](Manifest& m) { m.numeric_class = "two\nlines"; }},
      {"numeric_class", [](Manifest& m) { m.numeric_class = "-"; }},
      {"weights_digest", [](Manifest& m) { m.weights_digest = ""; }},
      {"layout", [](Manifest& m) { m.tensors.clear(); }},
      {"occurs twice", [](Manifest& m) { m.tensors.push_back(m.tensors[0]); }},
      {"0 files", [](Manifest& m) { m.files.clear(); }},
      {"file name", [](Manifest& m) { m.files[0].name = "../x"; }},
      {"file name", [](Manifest& m) { m.files[0].name = "a/b"; }},
      {"file name", [](Manifest& m) { m.files[0].name = ".."; }},
      {"file name", [](Manifest& m) { m.files[0].name = ".hidden"; }},
      {"file name", [](Manifest& m) { m.files[0].name = "MANIFEST"; }},
      {"file name", [](Manifest& m) { m.files[0].name = ""; }},
      {"file name", [](Manifest& m) { m.files[0].name = std::string(101, 'a'); }},
      {"xxh3", [](Manifest& m) { m.files[0].xxh3 = "XYZ"; }},
      {"holds blocks",
       [](Manifest& m) {
         m.files[0].blocks = {1, 1};
       }},
      {"holds blocks", [](Manifest& m) { m.files.push_back(m.files[0]); }},
      {"layout has 1",
       [](Manifest& m) {
         m.files[0].blocks = {0, 2};
       }},
      {"listed twice", [](Manifest& m) {
         m.files.push_back(m.files[0]);
         m.files[1].blocks = {1, 1};
       }}};
  for (const auto& [expected, spoil] : cases) {
    Manifest manifest = Example();
    spoil(manifest);
    const Status status = CheckManifest(manifest);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << expected;
    EXPECT_THAT(status.message(), HasSubstr(expected));
  }
}

TEST(ManifestTest, EveryChangedByteIsFound) {
  const std::string text = kExample;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char mask : {'\x01', '\x20', '\x80'}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      EXPECT_EQ(ParseManifest(changed).status().code(), Code::kDataLoss) << "byte " << i;
    }
    EXPECT_EQ(ParseManifest(text.substr(0, i)).status().code(), Code::kDataLoss) << i;
  }
  EXPECT_EQ(ParseManifest(text + "\n").status().code(), Code::kDataLoss);
  EXPECT_EQ(ParseManifest(text + text).status().code(), Code::kDataLoss);
}

// The digest is right, and yet it must be refused: it comes from a hostile or a buggy writer.
TEST(ManifestTest, SignedNonsenseIsRefused) {
  const std::vector<std::pair<std::string, std::string>> replacements = {
      {"job 0123456789abcdef", "job 123456789abcdef"},
      {"job 0123456789abcdef", "job 10123456789abcdef0"},
      {"job 0123456789abcdef", "job 0123456789ABCDEF"},
      {"job_name example\n", ""},
      {"job_name example", "job_name exa\x01mple"},
      {"version 7", "version  7"},
      {"version 7", "version 07"},
      {"version 7", "version +7"},
      {"version 7", "version 7 "},
      {"version 7", "version -7"},
      {"version 7", "version 99999999999999999999"},
      {"epoch 3", "epoch 4294967296"},
      {"spec_digest -", "spec_digest "},
      {"tensors 1", "tensors 2"},
      {"tensors 1", "tensors 0"},
      {"tensors 1", "tensors 18446744073709551615"},
      {"constant 00000000 2", "constant 7fc00000 2"},
      {"constant 00000000 2", "random 00000000 2"},
      {"constant 00000000 2", "constant 00000000 0"},
      {"constant 00000000 2", "constant 00000000 2x"},
      {"constant 00000000 2", "constant 00000000"},
      {"constant 00000000 2", "constant 00000000 8589934592x8589934592"},
      {"files 1", "files 1000000000"},
      {"files 1", "files 0"},
      {"shard-0-of-1.bin 192", "../shard-0-of-1.bin 192"},
      {"shard-0-of-1.bin 192", "/etc/passwd 192"},
      {"192 ", "-1 "},
      {" 0 1\n", " 0 1 2\n"},
      {" 0 1\n", " 0 4294967295\n"},
      {" 0 1\n", " 1 0\n"},
      {" 0 1\n", " 0 1\nextra 1\n"},
      {"drover checkpoint 1", "drover snapshot 1"}};
  for (const auto& [from, to] : replacements) {
    EXPECT_EQ(ParseManifest(Signed(Replaced(Body(), from, to))).status().code(), Code::kDataLoss)
        << from << " -> " << to;
  }
  EXPECT_EQ(ParseManifest(Signed("")).status().code(), Code::kDataLoss);
  EXPECT_EQ(ParseManifest("").status().code(), Code::kDataLoss);
}

TEST(ManifestTest, ANewerFormatIsToldApartFromDamage) {
  const Status status =
      ParseManifest(Signed(Replaced(Body(), "checkpoint 1", "checkpoint 2"))).status();

  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("use a newer one"));
}

}  // namespace
}  // namespace drover
