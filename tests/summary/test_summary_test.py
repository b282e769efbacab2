#!/usr/bin/env python3
"""The summary must never count a crash, a hang or a broken build as passed."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import test_summary

GOOGLETEST = """<testsuites><testsuite name="A">
<testcase name="Passes" status="run" result="completed" classname="A"/>
<testcase name="Fails" status="run" classname="A"><failure message="a.cc:5&#x0A;1 != 2"/></testcase>
<testcase name="Skips" status="run" classname="A"><skipped message="a.cc:2&#x0A;no data"/>
</testcase>
<testcase name="DISABLED_B" status="notrun" result="suppressed" classname="A"/>
</testsuite></testsuites>"""
ALL_PASS = """<testsuites><testsuite name="A">
<testcase name="One" status="run" classname="A"/><testcase name="Fails" status="run" classname="A"/>
</testsuite></testsuites>"""


class TestSummaryTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = pathlib.Path(folder.name)

    def phase(self, name, program_status, code="0", report=None, output=""):
        (self.results / name).mkdir()
        (self.results / f"{name}.code").write_text(code + "\n")
        (self.results / f"{name}.junit.xml").write_text(
            f'<testsuite><testcase name="a_test" status="{program_status}">'
            f"<system-out>{output}</system-out></testcase></testsuite>")
        if report is not None:
            (self.results / name / "a_test.xml").write_text(report)

    def summary(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = test_summary.main([str(self.results)])
        return code, out.getvalue().splitlines()

    def test_counts_cases_and_gives_reasons(self):
        self.phase("unit", "fail", code="8", report=GOOGLETEST)

        code, lines = self.summary()

        self.assertEqual(code, 1)
        self.assertEqual(lines, [
            "failed    a_test: A.Fails: [unit] a.cc:5",
            "            1 != 2",
            "skipped   a_test: A.Skips: no data",
            "skipped   a_test: A.DISABLED_B: disabled",
            "1 passed, 1 failed, 2 skipped"])

    def test_case_of_two_phases_counts_once_by_its_worst_result(self):
        self.phase("asan", "run", report=ALL_PASS)
        self.phase("unit", "fail", code="8", report=GOOGLETEST)

        self.assertEqual(self.summary()[1][-1], "2 passed, 1 failed, 2 skipped")

    def test_program_that_fails_after_its_cases_passed_is_a_failure(self):
        self.phase("unit", "fail", code="8", report=ALL_PASS, output="LeakSanitizer: 8 bytes")

        code, lines = self.summary()

        self.assertEqual(code, 1)
        self.assertEqual(lines, ["failed    a_test: [unit] fail: LeakSanitizer: 8 bytes",
                                 "2 passed, 1 failed, 0 skipped"])

    def test_report_cut_off_by_a_crash_is_a_failure(self):
        self.phase("unit", "fail", code="8", report=ALL_PASS[:90])

        self.assertEqual(self.summary()[1][-1], "0 passed, 1 failed, 0 skipped")

    def test_ctest_that_fails_without_a_word_is_a_failure(self):
        self.phase("unit", "run", code="8", report=ALL_PASS)

        self.assertEqual(self.summary()[1][-1], "2 passed, 1 failed, 0 skipped")

    def test_broken_build_is_a_failure(self):
        self.phase("unit", "run", report=ALL_PASS)
        (self.results / "build-asan.broken").write_text("cannot build asan\n")

        code, lines = self.summary()

        self.assertEqual(code, 1)
        self.assertEqual(lines, ["failed    build-asan: cannot build asan",
                                 "2 passed, 1 failed, 0 skipped"])

    def test_nothing_that_ran_is_no_success(self):
        self.assertEqual(self.summary(), (1, ["0 passed, 0 failed, 0 skipped"]))

    def test_python_program_is_counted_by_its_own_words(self):
        self.phase("tidy", "fail", code="8", output=(
            "test_a (T.test_a) ... skipped 'no clang-format'\n"
            "test_b (T.test_b) ... ok\ntest_c (T.test_c) ... FAIL\n"
            "==========\nFAIL: test_c (T.test_c)\n----------\nTraceback\nAssertionError: 1 != 2\n\n"
            "----------\nRan 3 tests in 0.1s\nFAILED (failures=1, skipped=1)\n"))

        self.assertEqual(self.summary()[1], [
            "failed    a_test: test_c: [tidy] 1 != 2",
            "skipped   a_test: skipped #0: no clang-format", "1 passed, 1 failed, 1 skipped"])

    def test_python_program_that_tells_no_reasons_is_told_how_to(self):
        self.phase("unit", "run", output="----------\nRan 2 tests in 0.1s\nOK (skipped=1)\n")

        self.assertEqual(self.summary()[1], [
            "skipped   a_test: skipped #0: " + test_summary.NO_REASON,
            "1 passed, 0 failed, 1 skipped"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
