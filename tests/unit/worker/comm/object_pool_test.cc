#include "worker/comm/object_pool.h"

#include <gtest/gtest.h>

#include <optional>

namespace drover {
namespace {

class ObjectPoolTest : public testing::Test {
 protected:
  ObjectPool<int> MakePool(size_t free_max) {
    return ObjectPool<int>([this] { return std::make_unique<int>(made_++); }, free_max);
  }

  int made_ = 0;
};

TEST_F(ObjectPoolTest, WhatCameBackIsGivenAgainAsItWasLeft) {
  ObjectPool<int> pool = MakePool(2);
  std::shared_ptr<int> one = pool.Take();
  *one = 17;
  one.reset();

  EXPECT_EQ(*pool.Take(), 17);
  EXPECT_EQ(made_, 1);
}

TEST_F(ObjectPoolTest, ObjectsInUseAreDifferent) {
  ObjectPool<int> pool = MakePool(2);
  const std::shared_ptr<int> one = pool.Take();
  const std::shared_ptr<const void> holder = one;  // As a frame holds it.

  EXPECT_NE(pool.Take().get(), one.get());
}

TEST_F(ObjectPoolTest, KeepsNoMoreThanItMay) {
  ObjectPool<int> pool = MakePool(1);
  {
    const std::shared_ptr<int> one = pool.Take();
    const std::shared_ptr<int> two = pool.Take();
  }
  const std::shared_ptr<int> three = pool.Take();
  const std::shared_ptr<int> four = pool.Take();

  EXPECT_EQ(made_, 3);
}

TEST_F(ObjectPoolTest, ObjectsMayOutliveThePool) {
  std::optional<ObjectPool<int>> pool(MakePool(1));
  const std::shared_ptr<int> one = pool->Take();
  pool.reset();

  *one = 3;
  EXPECT_EQ(*one, 3);
}

}  // namespace
}  // namespace drover
