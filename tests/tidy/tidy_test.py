#!/usr/bin/env python3
"""Rules of the tree that a compiler does not see. Each has a bad example in self_test.py.

usage: tidy_test.py [--root DIR] [--build-dir DIR] [unittest arguments]

--build-dir names an optimised build, whose objects are looked into.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import checks
import tree
from self_test import SelfTest  # Found and run by unittest.main below.

OPTIONS = argparse.Namespace(root=pathlib.Path(__file__).parents[2], build_dir=None)
FILE_LINES, FUNCTION_LINES = 200, 60


class TidyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = tree.Tree(OPTIONS.root)
        cls.layers = tree.parse_layers(cls.tree.text("tests/tidy/layers.txt"))

    def expect_none(self, problems):
        if problems:
            self.fail("\n" + "\n".join(problems))

    def each(self, paths, check):
        self.expect_none([problem for path in paths
                          for problem in check(path, self.tree.text(path))])

    def test_01_includes_obey_the_layers(self):
        self.each(self.tree.sources(), lambda p, t: checks.check_layers(p, t, self.layers))

    def test_01_pure_files_touch_nothing_outside(self):
        pure = [p for p in self.tree.sources() if checks.is_pure(p, self.layers)]
        self.each(pure, checks.check_pure)

    def test_01_files_named_as_pure_exist(self):
        stems = {os.path.splitext(p)[0] for p in self.tree.sources()}
        self.expect_none([f"layers.txt: no file {stem}.h or .cc" for stem in self.layers.pure
                          if stem not in stems])

    def test_02_headers_begin_with_a_comment_and_guard_by_path(self):
        self.each(self.tree.ending(".h", ".cuh"), checks.check_header)

    def test_02_clang_format_changes_nothing(self):
        program = shutil.which("clang-format")
        if program is None:
            self.skipTest("clang-format is not installed")
        sources, jobs = self.tree.sources(), os.cpu_count() or 1

        def run(part):
            return subprocess.run([program, "--dry-run", "-Werror", *part], cwd=self.tree.root,
                                  capture_output=True, text=True, check=False).stderr

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            parts = [sources[i::jobs] for i in range(jobs) if sources[i::jobs]]
            errors = "".join(pool.map(run, parts)).splitlines()
        files = sorted({line.partition(":")[0] for line in errors if ": error: " in line})
        self.expect_none([f"{file}: run clang-format -i {file}" for file in files])

    def test_03_every_source_is_built(self):
        listings = {p: self.tree.text(p) for p in self.tree.paths if p.endswith("CMakeLists.txt")}
        self.expect_none(checks.check_reached(self.tree.paths, listings))

    def test_03_every_header_is_included(self):
        sources = self.tree.sources()
        texts = {p: self.tree.text(p) for p in sources}
        self.expect_none(checks.check_headers_used(self.tree.ending(".h", ".cuh"), texts))

    def test_03_cmake_files_hold_no_dead_lines(self):
        self.each(self.tree.ending("CMakeLists.txt"), checks.check_cmake_comments)

    def test_04_no_banned_words(self):
        self.each(self.tree.sources(),
                  lambda p, t: checks.check_banned(p, t, checks.BANNED_WORDS))
        self.each(self.tree.ending("CMakeLists.txt", ".cmake", "CMakePresets.json"),
                  lambda p, t: checks.check_banned(p, t, checks.BANNED_FLAGS))

    def test_04_nothing_is_left_open(self):
        self.each(self.tree.sources() + self.tree.ending(
            "CMakeLists.txt", ".cmake", ".proto", ".py", ".sh", ".md", ".yaml", ".yml"),
            checks.check_notes)

    def test_06_objects_per_instruction_set_export_one_symbol(self):
        if OPTIONS.build_dir is None:
            self.skipTest("needs an optimised build: give --build-dir DIR")
        build = pathlib.Path(OPTIONS.build_dir)
        problems = []
        # With files compiled together they lie one folder deeper.
        objects = {isa: sorted(build.glob(f"**/*_{isa}.dir/**/*.o"))
                   for isa in ("generic", "avx2", "avx512")}
        self.assertEqual([isa for isa, found in objects.items() if not found], [],
                         f"no objects of these instruction sets in {build}")
        for path in sum(objects.values(), []):
            output = subprocess.run(["nm", "--extern-only", "--defined-only", "--format=posix",
                                     str(path)], capture_output=True, text=True, check=True).stdout
            problems += checks.check_symbols(str(path.relative_to(build)), output)
        self.expect_none(problems)

    def test_07_metrics_and_their_document_agree(self):
        table, document = "common/metrics/metric_table.h", "docs/metrics.md"
        if not self.tree.exists(table) or not self.tree.exists(document):
            self.skipTest(f"{table} or {document} does not exist")
        self.expect_none(checks.check_metrics(self.tree.text(table), self.tree.text(document)))

    def test_08_documents_have_one_title_and_links_that_resolve(self):
        self.each(self.tree.ending(".md"),
                  lambda p, t: checks.check_markdown(p, t, self.tree.exists))

    def test_08_commands_in_documents_exist(self):
        self.each([p for p in ("README.md", "CONTRIBUTING.md") if self.tree.exists(p)],
                  lambda p, t: checks.check_commands(p, t, self.tree.exists))

    def test_09_libraries_are_included_only_where_they_are_confined(self):
        self.each(self.tree.sources(), lambda p, t: checks.check_confined(p, t, self.layers))

    def test_10_git_holds_nothing_large_or_generated(self):
        self.expect_none([problem for p in self.tree.tracked if (self.tree.root / p).is_file()
                          for problem in checks.check_git_file(
                              p, (self.tree.root / p).stat().st_size)])

    def test_10_one_list_of_packages(self):
        lists = [p for p in self.tree.paths
                 if p in ("run", "test", ".ci/run", "deploy/build.sh")
                 or os.path.basename(p).startswith("Dockerfile")
                 or (p.endswith((".md", ".yml", ".yaml")) and "/" not in p)]
        self.each(lists, checks.check_package_lists)
        packages = checks.package_names(self.tree.text("deploy/packages.txt"))
        self.each(["common/cmake/DroverPackages.cmake"],
                  lambda p, t: checks.check_package_hints(p, t, packages))


def print_longest(sources):
    """Only a hint where to look: a length is an aim, not a rule."""
    files = sorted(((sources.text(p).count("\n"), p) for p in sources.sources()), reverse=True)
    functions = sorted((f for p in sources.sources() if not p.startswith("tests/")
                        for f in checks.function_lengths(p, sources.text(p))), reverse=True)
    for what, limit, longest in (("files", FILE_LINES, files),
                                 ("functions", FUNCTION_LINES, functions)):
        over = sum(1 for lines, _ in longest if lines > limit)
        print(f"longest {what} ({over} above {limit} lines):")
        for lines, where in longest[:10]:
            print(f"  {lines:5}  {where}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--root", type=pathlib.Path, default=OPTIONS.root)
    parser.add_argument("--build-dir", type=pathlib.Path)
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    print_longest(tree.Tree(OPTIONS.root))
    sys.stdout.flush()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
