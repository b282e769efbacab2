#include "common/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "common/base/thread.h"

namespace drover {
namespace {

using std::chrono::nanoseconds;

TEST(BoundedQueueTest, GivesItemsInTheOrderOfTheirPush) {
  BoundedQueue<int> queue(/*capacity=*/3);

  EXPECT_TRUE(queue.Push(1));
  EXPECT_TRUE(queue.Push(2));
  EXPECT_TRUE(queue.TryPush(3));

  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.PopFor(nanoseconds(0)), 3);
}

TEST(BoundedQueueTest, TryPushRefusesWhenFullAndTakesAgainAfterAPop) {
  BoundedQueue<int> queue(/*capacity=*/1);

  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_TRUE(queue.TryPush(3));
}

TEST(BoundedQueueTest, PopForGivesUpOnAnEmptyQueueThatIsStillOpen) {
  BoundedQueue<int> queue(/*capacity=*/1);

  EXPECT_EQ(queue.PopFor(nanoseconds(1000)), std::nullopt);
  EXPECT_FALSE(queue.closed());
}

TEST(BoundedQueueTest, ClosedQueueRefusesPushesAndDrainsWhatIsLeft) {
  BoundedQueue<int> queue(/*capacity=*/2);
  EXPECT_TRUE(queue.Push(7));

  queue.Close();

  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.Push(8));
  EXPECT_FALSE(queue.TryPush(8));
  EXPECT_EQ(queue.Pop(), 7);
  EXPECT_EQ(queue.Pop(), std::nullopt);
  EXPECT_EQ(queue.PopFor(nanoseconds(0)), std::nullopt);
}

TEST(BoundedQueueTest, CloseWakesABlockedReader) {
  BoundedQueue<int> queue(/*capacity=*/1);
  std::optional<int> popped = 1;
  Thread reader("reader", [&] { popped = queue.Pop(); });

  queue.Close();
  reader.Join();

  EXPECT_EQ(popped, std::nullopt);
}

TEST(BoundedQueueTest, CloseWakesABlockedWriter) {
  BoundedQueue<int> queue(/*capacity=*/1);
  EXPECT_TRUE(queue.Push(1));
  bool pushed = true;
  Thread writer("writer", [&] { pushed = queue.Push(2); });

  queue.Close();
  writer.Join();

  EXPECT_FALSE(pushed);
}

TEST(BoundedQueueTest, HoldsItemsThatCanOnlyBeMoved) {
  BoundedQueue<std::unique_ptr<int>> queue(/*capacity=*/1);

  EXPECT_TRUE(queue.Push(std::make_unique<int>(5)));

  EXPECT_EQ(**queue.Pop(), 5);
}

TEST(BoundedQueueTest, ManyWritersAndReadersLoseAndDoubleNothing) {
  constexpr int kItemsPerWriter = 2000;
  constexpr int kWriters = 3;
  constexpr int kReaders = 3;
  BoundedQueue<int> queue(/*capacity=*/2);
  std::vector<std::vector<int>> received(kReaders);

  {
    std::vector<Thread> readers;
    for (std::vector<int>& mine : received) {
      readers.emplace_back("reader", [&queue, &mine] {
        while (const std::optional<int> item = queue.Pop()) mine.push_back(*item);
      });
    }
    {
      std::vector<Thread> writers;
      for (int writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back("writer", [&queue, writer] {
          for (int i = 0; i < kItemsPerWriter; ++i) queue.Push(writer * kItemsPerWriter + i);
        });
      }
    }
    queue.Close();
  }

  std::vector<int> seen(kWriters * kItemsPerWriter, 0);
  for (const std::vector<int>& mine : received) {
    for (const int item : mine) ++seen[static_cast<size_t>(item)];
  }
  EXPECT_EQ(seen, std::vector<int>(kWriters * kItemsPerWriter, 1));
}

}  // namespace
}  // namespace drover
