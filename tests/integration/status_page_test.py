#!/usr/bin/env python3
"""The status page in a real browser: what it shows of a running job and of a suspended one, that it
says when the coordinator is away, and that no text from outside becomes markup.

usage: status_page_test.py BIN_DIR [unittest arguments]
"""

import json
import unittest
import urllib.request

import browser
import cluster
import daemon

POINTS = ("(document.querySelector('#chart-{} path:last-of-type')?.getAttribute('d')"
          ".match(/[ML]/g) ?? []).length")


def status_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=10) as answer:
        return json.load(answer)


def hostile_facts(facts, evil):
    """A job, a worker, a shard and a line whose every text is `evil`."""
    job = {"id": "ab", "name": evil, "state": "RUNNING", "reason": evil, "message": evil, "step": 1,
           "steps": 2, "rule": evil, "weights_digest": evil, "epoch": 1, "checkpoint_version": 0}
    worker = {"name": evil, "state": evil, "note": evil, "numeric_class": evil, "lanes": 1,
              "job": "ab", "lag_steps": 0, "lateness_seconds": None, "samples_per_second": 0}
    return {**facts, "version": evil, "selected": "ab", "jobs": [job], "workers": [worker],
            "shards": [{"name": evil, "address": evil, "parts": []}],
            "lines": [{"unix_ms": 0, "level": evil, "task": evil, "text": evil}],
            "next": [{"command": evil, "why": evil}]}


@unittest.skipUnless(browser.program(), "no browser: apt-get install chromium-headless-shell")
class StatusPageTest(daemon.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = cls.enterClassContext(browser.Browser())

    def setUp(self):
        super().setUp()
        self.browser.open("about:blank")
        self.browser.resize(1240, 900)
        self.browser.errors.clear()
        self.browser.requests.clear()

    def expect_no_errors(self):
        self.assertEqual(self.browser.errors, [])

    def test_a_job_from_its_first_steps_until_the_coordinator_is_away(self):
        fields = cluster.on_pictures(steps=100_000, evaluation__every_steps=5)
        page = self.browser
        with cluster.Run(self.folder / "run", fields) as run:
            run.wait_for_step(10)
            port, address = run.metrics_port("coordinator"), run.address
            page.open(f"http://127.0.0.1:{port}/")
            page.wait_for(POINTS.format("loss") + " > 5")
            self.expect_running_job(page, port, address)
            self.expect_room_on_a_phone(page)
            self.expect_charts_read_by_keyboard(page)
            self.expect_another_job_to_be_selected(page, address, fields)
            self.expect_no_errors()
        page.wait_for("document.querySelector('#stale').textContent.includes('does not answer')")
        self.assertIn(f"drover doctor --probe {address}", page.texts("#stale")[0])
        self.assertEqual(page.texts("#pulse"), ["no answer"])
        self.assertEqual(page.texts("#jobs th[scope=row]"), ["small", "other"])  # What was known.
        for url in page.requests:
            self.assertRegex(url, rf"^(http://127\.0\.0\.1:{port}/(api/status.*)?|data:.*)$")

    def expect_running_job(self, page, port, address):
        before = status_of(port)["jobs"][0]["step"]
        name, state, step = page.texts("#jobs tbody tr:first-child > *")[:3]
        after = status_of(port)["jobs"][0]["step"]
        self.assertEqual((name, state), ("small", "running"))
        shown, total = (int(number.replace(",", "")) for number in step.split(" of "))
        self.assertEqual(total, 100_000)
        self.assertTrue(10 <= shown <= after, f"{shown} of {before} to {after}")
        self.assertEqual(page.texts("#next code")[0], f"drover --server {address} watch small")
        self.assertEqual(page.texts("#workers th[scope=row]"), ["worker-0", "worker-1"])
        self.assertEqual(page.texts("#workers .state"), ["active", "active"])
        page.wait_for("[...document.querySelectorAll('#workers td:last-child')]"
                      ".some(e => e.textContent.endsWith(' s'))")  # Somebody's lateness.
        self.assertEqual(page.texts("#shards th[scope=row]"), ["shard-0", "shard-1"])
        for size in page.texts("#shards td:last-child"):
            self.assertRegex(size, r"^[\d.]+ [KM]iB$")
        for chart in ("loss", "accuracy", "ratio", "gradient", "rate", "speed"):
            page.wait_for(POINTS.format(chart) + " > 1")
            self.assertRegex(page.evaluate(f"document.querySelector('#chart-{chart} title')"
                                           ".textContent"), r" over [\d,]+ steps: .* now")
        self.assertEqual(page.evaluate("document.querySelectorAll('#chart-ratio .band').length"), 1)
        self.assertRegex("\n".join(page.texts("#lines tbody td:last-child")),
                         r"evaluation of step \d+: loss [\d.]+")
        self.assertRegex(page.evaluate("document.title"), r"^\d+ % small")
        self.expect_no_errors()

    def expect_charts_read_by_keyboard(self, page):
        page.evaluate("document.querySelector('#chart-loss').focus()")
        page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
        self.assertRegex(page.texts("#charts figcaption span")[0],
                         r"^step [\d,]+ · train [\d.e-]+ · evaluation [\d.e-]+$")

    def expect_another_job_to_be_selected(self, page, address, fields):
        for words in (("submit", cluster.SMALL, *cluster.set_flags({**fields, "name": "other"})),
                      ("suspend", "other")):
            self.assertEqual(cluster.drover("--server", address, *words).returncode, 0, words)
        page.wait_for("ask().then(() => document.querySelectorAll('#jobs a').length === 2)")
        page.evaluate("[...document.querySelectorAll('#jobs a')][1].click()")
        page.wait_for("document.querySelector('#job-title').textContent === 'other suspended'")
        self.assertEqual(page.texts("#jobs [aria-current] th"), ["other"])
        self.assertEqual(page.texts("#next code")[0], f"drover --server {address} resume other")

    def expect_room_on_a_phone(self, page):
        page.resize(360, 740)
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 360)
        page.resize(1240, 900)

    def test_an_empty_cluster_says_what_to_do_and_text_from_outside_stays_text(self):
        evil = "<img src=x onerror='window.evil = 1'><script>window.evil = 1</script>"
        page = self.browser
        port = self.start_coordinator()
        page.open(f"http://127.0.0.1:{port}/")
        page.wait_for("!document.querySelector('#no-jobs').hidden")
        self.assertEqual([command.split()[0] for command in page.texts("#next code")],
                         ["drover-shard", "drover-worker", "drover"])
        self.assertEqual(page.texts("#no-workers, #no-shards"),
                         ["No worker is connected.", "No shard is connected."])
        self.assertEqual(page.evaluate("document.querySelector('#job').hidden"), True)

        page.answer_requests("*/api/status*", json.dumps(hostile_facts(status_of(port), evil)))
        page.wait_for("ask().then(() => document.querySelector('#shards th[scope=row]') !== null)")
        self.assertEqual(page.texts("#workers th[scope=row]"), [evil])
        self.assertEqual(page.texts("#next code"), [evil])
        self.assertEqual(page.evaluate("document.images.length"), 0)
        self.assertEqual(page.evaluate("document.scripts.length"), 1)
        self.expect_no_errors()
        # Even a script that got in would not run: the policy of the page forbids it.
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), "
                      "{textContent: 'window.evil = 1'}))")
        self.assertIsNone(page.evaluate("window.evil ?? null"))
        self.assertIn("Content Security Policy", " ".join(page.errors))

    def start_coordinator(self):
        coordinator = self.start("coordinator", "drover-coordinator", "--listen", "127.0.0.1:0",
                                 "--metrics", "127.0.0.1:0", "--state-dir", self.folder / "state")
        return int(coordinator.wait_for(r"metrics_port=(\d+)")[1])


if __name__ == "__main__":
    cluster.main()
