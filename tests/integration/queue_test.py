#!/usr/bin/env python3
"""Several jobs on one cluster: each ends as it ends alone, in the order that the queue promises.

usage: queue_test.py BIN_DIR [unittest arguments]
"""

import by_hand
import cluster

# Long enough to be suspended in the middle, and short ones.
LONGEST, LONG, SHORT = 220, 100, 16


class QueueTest(by_hand.TestCase):
    def test_jobs_share_a_cluster_and_keep_their_weights(self):
        kinds = {"one": {"seed": 1, "steps": LONG}, "two": {"seed": 2, "steps": LONGEST},
                 "small": {"seed": 3, "steps": SHORT}}
        alone = {name: self.digest_at_the_end(self.submit(f"alone-{name}", **fields))
                 for name, fields in kinds.items()}
        self.assertEqual(len(set(alone.values())), 3)

        # Side by side, on workers of their own.
        one = self.submit("one", max_workers=1, **kinds["one"])
        two = self.submit("two", max_workers=2, **kinds["two"])
        self.wait_for(one, "RUNNING", workers=1)
        self.wait_for(two, "RUNNING", workers=2)
        late = self.submit("late", min_workers=2, ttl_after_end="10s", **kinds["small"])
        soon = self.submit("soon", min_workers=2, priority=1, **kinds["small"])
        table = self.drover("get", "jobs")
        self.assertRegex(table, r"two +RUNNING +2 ")
        self.assertRegex(table, r"soon +QUEUED .*waits for 2 workers, \d")
        self.assertRegex(table, r"late +QUEUED .*waits for the jobs before it")

        # Suspended, its workers go to who waits: the higher priority before the older one.
        self.drover("suspend", two)
        self.assertEqual(self.digest_at_the_end(soon), alone["small"])
        ended = self.end_of(late)
        self.assertEqual(ended["weightsDigest"], alone["small"])
        self.assertLess(int(self.describe(soon)["startTimeUnixMs"]), int(ended["startTimeUnixMs"]))
        self.assertEqual(self.wait_for(two, "SUSPENDED")["workers"], 0)

        self.drover("resume", two)
        self.assertEqual(self.digest_at_the_end(one), alone["one"])
        self.assertEqual(self.digest_at_the_end(two), alone["two"])
        cluster.wait_until("the end of its time to live",
                           lambda: late not in self.drover("get", "jobs") or None)
        folders = self.folder / "coordinator" / "checkpoints"
        cluster.wait_until("its checkpoints' end", lambda: not list(folders.glob(f"{late}*")) or None)
        self.assertTrue((folders / soon).exists())


if __name__ == "__main__":
    cluster.main()
