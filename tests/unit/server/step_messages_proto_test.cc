#include "server/step_messages_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "server/optim/step_scalars.h"

namespace drover {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Fence kFence = {0xfedcba9876543210, 7, 41};

std::shared_ptr<const Layout> SmallLayout() {
  return std::make_shared<const Layout>(
      Layout::Make(
          {{"fc.weight", {300, 300}, {InitRule::Kind::kUniform, 0.5f}}, {"fc.bias", {300}, {}}})
          .value());
}

StepScalars ScalarsFrom(float first) {
  std::vector<float> floats(kStepScalarCount);
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = first + static_cast<float>(i);
  return StepScalarsFromFloats(floats).value();
}

UpdateNumbers NumbersForTwoTensors() {
  return {{ScalarsFrom(1.0f), ScalarsFrom(100.0f)},
          {1, 0},
          {0.25f, 0.5f},
          {true, true, 0.75f, 0.25f, 0.875f}};
}

PlaceOrder FullPlace() {
  PlaceOrder order;
  order.job = kFence.job;
  order.epoch = kFence.epoch;
  order.shard_index = 1;
  order.shard_count = 2;
  order.layout = SmallLayout();
  order.blocks = {1, 3};
  order.shapes = {{0, 32, 2048}, {10, 8, 1024}};
  order.fraction_bits = 37;
  order.seed = 99;
  order.rule = {Rule::kLamb, /*with_lookahead=*/true};
  order.origin = {"/checkpoints/a", 40};
  order.discard = true;
  order.token_key = "0123456789abcdef0123456789abcdef";
  return order;
}

// Every field differs from its default; what a message loses shows in its bytes.
TEST(StepMessagesProtoTest, OrdersComeBackWhole) {
  UpdateNumbers measure = NumbersForTwoTensors();
  measure.tensor_scales.clear();
  measure.lookahead = {};
  const std::vector<ShardOrder> orders = {
      FullPlace(),
      MeasureOrder{kFence, measure},
      CommitOrder{kFence, false, NumbersForTwoTensors()},
      CommitOrder{kFence, true, {}},
      StableOrder{kFence},
      WriteCheckpointOrder{kFence, "/checkpoints/.tmp-1"},
      ReleaseOrder{kFence.job},
  };
  for (const ShardOrder& order : orders) {
    const v1::ShardOrder message = OrderToProto(order);

    const Result<ShardOrder> again = OrderFromProto(message);

    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again.value().index(), order.index());
    EXPECT_EQ(OrderToProto(again.value()).SerializeAsString(), message.SerializeAsString());
  }
}

TEST(StepMessagesProtoTest, PlaceCarriesEveryField) {
  const PlaceOrder before = FullPlace();

  const Result<ShardOrder> order = OrderFromProto(OrderToProto(before));

  ASSERT_TRUE(order.ok()) << order.status().ToString();
  const PlaceOrder& place = std::get<PlaceOrder>(order.value());
  EXPECT_EQ(place.job, before.job);
  EXPECT_EQ(place.epoch, before.epoch);
  EXPECT_EQ(place.shard_index, before.shard_index);
  EXPECT_EQ(place.shard_count, before.shard_count);
  EXPECT_EQ(place.layout->hash(), before.layout->hash());
  EXPECT_EQ(place.blocks, before.blocks);
  EXPECT_EQ(place.shapes, before.shapes);
  EXPECT_EQ(place.fraction_bits, before.fraction_bits);
  EXPECT_EQ(place.seed, before.seed);
  EXPECT_EQ(place.rule, before.rule);
  EXPECT_EQ(place.origin, before.origin);
  EXPECT_EQ(place.token_key, before.token_key);
  EXPECT_EQ(place.discard, before.discard);
}

TEST(StepMessagesProtoTest, RepliesComeBackWhole) {
  const std::vector<ShardReply> replies = {
      PlacedReply{kFence, true, {0x8000000000000001, 5}, ""},
      PlacedReply{kFence, false, {}, "its disk is full"},
      PreparedReply{kFence, {-12345, 7, 2048}, {0.5, 1e-300, 0.0}, 64, 3, 2, 0.125},
      MeasuredReply{kFence, {1.0, 2.0}, {3.0, 4.0}},
      AppliedReply{kFence},
      CheckpointWrittenReply{kFence, "shard-0-of-1.bin", 4096, std::string(32, 'a'), ""},
      CheckpointWrittenReply{kFence, "", 0, "", "no space left"},
  };
  for (const ShardReply& reply : replies) {
    const v1::ShardMessage message = ReplyToProto(reply);

    const Result<ShardReply> again = ReplyFromProto(message);

    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again.value().index(), reply.index());
    EXPECT_EQ(ReplyToProto(again.value()).SerializeAsString(), message.SerializeAsString());
  }
}

// The core fails the job and says why; a shard that is turned away would only come back.
TEST(StepMessagesProtoTest, SumsThatAreNotFiniteReachTheCore) {
  const PreparedReply reply = {kFence, {}, {std::numeric_limits<double>::infinity()}, 1, 0, 0};

  EXPECT_TRUE(ReplyFromProto(ReplyToProto(reply)).ok());
}

struct BadOrder {
  const char* what;  // Must stand in the message.
  std::function<void(v1::ShardOrder*)> spoil;
};

void ExpectRefused(const v1::ShardOrder& good, const std::vector<BadOrder>& cases) {
  ASSERT_TRUE(OrderFromProto(good).ok());
  for (const BadOrder& bad : cases) {
    v1::ShardOrder message = good;
    bad.spoil(&message);

    const Status status = OrderFromProto(message).status();

    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad.what;
    EXPECT_THAT(status.message(), HasSubstr(bad.what));
  }
}

TEST(StepMessagesProtoTest, RefusesALookaheadThatIsNoShare) {
  for (const float share : {-0.5f, 1.5f, std::nanf("")}) {
    v1::Commit message = CommitToProto({kFence, false, NumbersForTwoTensors()});
    message.mutable_lookahead()->set_gain(share);

    const Result<CommitOrder> order = CommitFromProto(message);

    EXPECT_EQ(order.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(order.status().message(), HasSubstr("lookahead with a share of"));
  }
}

TEST(StepMessagesProtoTest, RefusesAPlaceThatMakesNoSense) {
  ExpectRefused(
      OrderToProto(FullPlace()),
      {
          {"job is 0", [](auto* m) { m->mutable_place()->set_job(0); }},
          {"epoch is 0", [](auto* m) { m->mutable_place()->set_epoch(0); }},
          {"shard 2 of 2", [](auto* m) { m->mutable_place()->set_shard_index(2); }},
          {"shard 1 of 0", [](auto* m) { m->mutable_place()->set_shard_count(0); }},
          {"1 to 100000", [](auto* m) { m->mutable_place()->clear_layout(); }},
          {"blocks [4, 3) of 3", [](auto* m) { m->mutable_place()->set_block_begin(4); }},
          {"blocks [1, 4) of 3", [](auto* m) { m->mutable_place()->set_block_end(4); }},
          {"leaves=0", [](auto* m) { m->mutable_place()->mutable_shapes(0)->set_leaves(0); }},
          {"leaves=4097", [](auto* m) { m->mutable_place()->mutable_shapes(0)->set_leaves(4097); }},
          {"batch=0", [](auto* m) { m->mutable_place()->mutable_shapes(0)->set_batch(0); }},
          {"batch=2049", [](auto* m) { m->mutable_place()->mutable_shapes(0)->set_batch(2049); }},
          {"0 shapes, expected 1 to 64", [](auto* m) { m->mutable_place()->clear_shapes(); }},
          {"a shape from step 1, expected 0",
           [](auto* m) { m->mutable_place()->mutable_shapes(0)->set_first_step(1); }},
          {"a shape from step 0, expected 1 or more",
           [](auto* m) { m->mutable_place()->mutable_shapes(1)->set_first_step(0); }},
          {"fraction_bits=38", [](auto* m) { m->mutable_place()->set_fraction_bits(38); }},
          {"fraction_bits=7", [](auto* m) { m->mutable_place()->set_fraction_bits(7); }},
          {"rule \"hessian\"", [](auto* m) { m->mutable_place()->set_rule("hessian"); }},
          {"is -1", [](auto* m) { m->mutable_place()->set_checkpoint_version(-1); }},
          {"at most 4096 bytes",
           [](auto* m) { m->mutable_place()->set_checkpoint(std::string(5000, 'a')); }},
          {"a token key of 0 bytes", [](auto* m) { m->mutable_place()->clear_token_key(); }},
          {"a token key of 33 bytes",
           [](auto* m) { m->mutable_place()->mutable_token_key()->push_back('x'); }},
      });
}

TEST(StepMessagesProtoTest, RefusesNumbersThatDoNotFitEachOther) {
  ExpectRefused(
      OrderToProto(CommitOrder{kFence, false, NumbersForTwoTensors()}),
      {
          {"0 groups", [](auto* m) { m->mutable_commit()->clear_groups(); }},
          {"0 tensors", [](auto* m) { m->mutable_commit()->clear_tensor_groups(); }},
          {"group 2 of 2", [](auto* m) { m->mutable_commit()->set_tensor_groups(0, 2); }},
          {"1 scales for 2",
           [](auto* m) { m->mutable_commit()->mutable_tensor_scales()->RemoveLast(); }},
          {"scale is not finite",
           [](auto* m) { m->mutable_commit()->set_tensor_scales(1, kInfinity); }},
          {"Commit",
           [](auto* m) { m->mutable_commit()->mutable_groups(0)->set_values(0, kInfinity); }},
          {"Commit", [](auto* m) { m->mutable_commit()->mutable_groups(0)->add_values(1); }},
          {"is -2", [](auto* m) { m->mutable_commit()->set_step(-2); }},
      });
}

TEST(StepMessagesProtoTest, RefusesOtherOrdersWithoutTheirFields) {
  ExpectRefused(OrderToProto(StableOrder{kFence}),
                {{"Stable: job is 0", [](auto* m) { m->mutable_stable()->set_job(0); }}});
  ExpectRefused(
      OrderToProto(WriteCheckpointOrder{kFence, "/a"}),
      {{"the folder is empty", [](auto* m) { m->mutable_write_checkpoint()->clear_directory(); }}});
  ExpectRefused(OrderToProto(ReleaseOrder{1}),
                {{"Release: job is 0", [](auto* m) { m->mutable_release()->set_job(0); }},
                 {"no kind that is known", [](auto* m) { m->clear_kind(); }}});
}

struct BadReply {
  const char* what;
  std::function<void(v1::ShardMessage*)> spoil;
};

void ExpectRefused(const ShardReply& good, const std::vector<BadReply>& cases) {
  for (const BadReply& bad : cases) {
    v1::ShardMessage message = ReplyToProto(good);
    bad.spoil(&message);

    const Status status = ReplyFromProto(message).status();

    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad.what;
    EXPECT_THAT(status.message(), HasSubstr(bad.what));
  }
}

TEST(StepMessagesProtoTest, RefusesRepliesOutOfBounds) {
  ExpectRefused(PlacedReply{kFence, false, std::vector<uint64_t>(64), ""},
                {{"65 words", [](auto* m) { m->mutable_placed()->add_leaves(1); }},
                 {"Placed: job is 0", [](auto* m) { m->mutable_placed()->set_job(0); }}});
  ExpectRefused(
      PreparedReply{kFence, {0, 5, 10}, {1.0}, 1, 1, 1},
      {{"11 of 10", [](auto* m) { m->mutable_prepared()->mutable_stats()->set_correct(11); }},
       {"-1 of 10", [](auto* m) { m->mutable_prepared()->mutable_stats()->set_correct(-1); }},
       {"tokens", [](auto* m) { m->mutable_prepared()->mutable_stats()->set_tokens(-1); }},
       {"of -1", [](auto* m) { m->mutable_prepared()->mutable_stats()->set_samples(-1); }},
       {"leaf_chunks=-1", [](auto* m) { m->mutable_prepared()->set_leaf_chunks(-1); }},
       {"duplicates=-1", [](auto* m) { m->mutable_prepared()->set_duplicates(-1); }},
       {"refused=9223372036854775807",
        [](auto* m) { m->mutable_prepared()->set_refused(std::numeric_limits<int64_t>::max()); }},
       {"seconds=-1", [](auto* m) { m->mutable_prepared()->set_seconds(-1); }},
       {"seconds=nan", [](auto* m) { m->mutable_prepared()->set_seconds(std::nan("")); }}});
  ExpectRefused(MeasuredReply{kFence, {1.0}, {1.0}},
                {{"1 sums of weights but 2",
                  [](auto* m) { m->mutable_measured()->add_direction_squares(1); }}});
  ExpectRefused(AppliedReply{kFence},
                {{"Applied: epoch is 0", [](auto* m) { m->mutable_applied()->set_epoch(0); }},
                 {"no kind that is known", [](auto* m) { m->clear_kind(); }},
                 {"second RegisterShard", [](auto* m) { m->mutable_register_(); }},
                 {"heartbeat or farewell where a reply", [](auto* m) { m->mutable_heartbeat(); }}});
}

TEST(StepMessagesProtoTest, RefusesCheckpointFilesThatLeadElsewhere) {
  const CheckpointWrittenReply good = {kFence, "shard-0-of-1.bin", 1, std::string(32, '0'), ""};
  ExpectRefused(
      good,
      {{"\"../MANIFEST\"",
        [](auto* m) { m->mutable_checkpoint_written()->set_file("../MANIFEST"); }},
       {"\".hidden\"", [](auto* m) { m->mutable_checkpoint_written()->set_file(".hidden"); }},
       {"file \"\"", [](auto* m) { m->mutable_checkpoint_written()->clear_file(); }},
       {"xxh3", [](auto* m) { m->mutable_checkpoint_written()->set_xxh3(std::string(32, 'G')); }},
       {"bytes=-1", [](auto* m) { m->mutable_checkpoint_written()->set_bytes(-1); }}});
}

TEST(StepMessagesProtoTest, NamesOfPeersAreShortAndPlain) {
  EXPECT_TRUE(CheckPeerName("worker-0.a_B").ok());
  EXPECT_TRUE(CheckPeerName(std::string(63, 'a')).ok());
  for (const std::string& name : {std::string(), std::string(64, 'a'), std::string("a/b"),
                                  std::string("a\n"), std::string("caf\xc3\xa9")}) {
    EXPECT_EQ(CheckPeerName(name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(StepMessagesProtoTest, TextsOfPeersCannotForgeLines) {
  EXPECT_EQ(PeerText("disk full\nE coordinator all is lost\x7f"),
            "disk full E coordinator all is lost ");
  EXPECT_EQ(PeerText(std::string(5000, 'x')).size(), kPeerTextBytesMax);
}

// "é" is two bytes; protobuf refuses to send half of one.
TEST(StepMessagesProtoTest, TextsOfPeersAreCutBetweenCharacters) {
  const std::string text = std::string(kPeerTextBytesMax - 1, 'x') + "\xc3\xa9" + "tail";

  EXPECT_EQ(PeerText(text), std::string(kPeerTextBytesMax - 1, 'x'));
}

}  // namespace
}  // namespace drover
