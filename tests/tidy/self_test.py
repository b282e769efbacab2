"""A bad example, and a good one, for each check of the tidy test."""

import unittest

import checks
import tree

LAYERS = tree.parse_layers("""
[layers]
common/base:
common/rpc: common/base   # a comment
server/cli: common/base server/checkpoint_file.h
[pure]
server/shard/chunk_gate
[confined]
SQLite: sqlite3.h -> server/coordinator/job_store.cc
gRPC: grpcpp/* *.grpc.pb.h -> common/rpc/*
""")
GUARD = "#ifndef DROVER_A_B_H_\n#define DROVER_A_B_H_\n"
NAMES = "name T 0 1\n"


class SelfTest(unittest.TestCase):
    def refused(self, problems, word):
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(word, problems[0])

    def accepted(self, problems):
        self.assertEqual(problems, [])

    def test_01_layers(self):
        upward = '#include <vector>\n#include "common/rpc/frame.h"\n'
        self.refused(checks.check_layers("common/base/a.h", upward, LAYERS),
                     "a.h:2: common/base may not")
        self.accepted(checks.check_layers("common/rpc/a.h", upward, LAYERS))
        self.refused(checks.check_layers("server/new/a.h", "", LAYERS), "not in")
        manifest = '#include "server/checkpoint_file.h"\n#include "server/spec.h"\n'
        self.refused(checks.check_layers("server/cli/a.cc", manifest, LAYERS), "server/spec.h")
        self.accepted(checks.check_layers("tests/unit/a_test.cc", manifest, LAYERS))

    def test_01_purity(self):
        self.assertTrue(checks.is_pure("server/shard/chunk_gate.cc", LAYERS))
        self.assertFalse(checks.is_pure("server/shard/chunk_gates.cc", LAYERS))
        for header in ("<mutex>", "<random>", "<sys/stat.h>", "<grpcpp/grpcpp.h>", "<sqlite3.h>",
                       "<google/protobuf/message.h>", '"proto/drover/v1/job.pb.h"'):
            self.refused(checks.check_pure("a.cc", f"#include {header}\n"), "may not include")
        self.refused(checks.check_pure("a.cc", "auto n = Clock::Real();"), "name Clock")
        self.accepted(checks.check_pure(
            "a.cc", '#include "common/base/clock.h"\nvoid F(Instant now);  // Knows no Clock.\n'))

    def test_02_headers(self):
        end = "#endif  // DROVER_A_B_H_\n"
        self.accepted(checks.check_header("a/b.h", f"// Why.\n\n{GUARD}\n{end}"))
        self.refused(checks.check_header("a/b.h", GUARD + end), "begin with a comment")
        self.refused(checks.check_header("a/c.h", f"// Why.\n{GUARD}{end}"), "DROVER_A_C_H_")
        self.refused(checks.check_header("a/b.h", "// Why.\n#pragma once\n"), "DROVER_A_B_H_")

    def test_03_sources_are_reached(self):
        listings = {"CMakeLists.txt": "add_subdirectory(a)", "a/CMakeLists.txt": "f(x.cc)\n# y.cc"}
        self.accepted(checks.check_reached(["a/x.cc"], listings))
        self.refused(checks.check_reached(["a/x.cc", "a/y.cc"], listings), "a/y.cc")
        self.refused(checks.check_reached(["a/b/x.cc"], listings), "a/b/x.cc")
        listings["a/b/CMakeLists.txt"] = "f(x.cc)"
        self.refused(checks.check_reached(["a/b/x.cc"], listings), "add_subdirectory")
        listings["CMakeLists.txt"] += " add_subdirectory(a/b)"
        self.accepted(checks.check_reached(["a/b/x.cc"], listings))

    def test_03_headers_are_included(self):
        texts = {"a.h": "", "b.h": "", "a.cc": '#include "a.h"\n'}
        self.refused(checks.check_headers_used(["a.h", "b.h"], texts), "b.h")

    def test_03_cmake_comments(self):
        for line in ("# add_subdirectory(x)", "  #  db_test.cc", "#drover_test("):
            self.refused(checks.check_cmake_comments("CMakeLists.txt", line), "commented-out")
        self.accepted(checks.check_cmake_comments("CMakeLists.txt",
                                                  "# Why (and how).\n# See a.cc\n"))

    def test_04_banned_words(self):
        for word in ("throw 1;", "std::stoi(s)", "atof(s)", "std::mutex m;", "std::thread t;",
                     "std::jthread t;", "steady_clock::now()", "sleep_for(x)", 'getenv("HOME")',
                     "rand()", "cudaDeviceSynchronize()", "atomicAdd(p, v)", "strtoll(s)",
                     "k<<<1, 2>>>();", "__shared__ int x;",
                     "std::lock_guard l(m);"):
            problems = checks.check_banned("a/b.cc", f"int x;\n{word}\n", checks.BANNED_WORDS)
            self.refused(problems, "a/b.cc:2: ")
        self.accepted(checks.check_banned(
            "a/b.cc", '// throw, std::mutex\nLog("rand()"); operand(1); this_thread::yield();\n'
            'R"(getenv)"; overthrow();', checks.BANNED_WORDS))
        def check(path, text):
            return checks.check_banned(path, text, checks.BANNED_WORDS)

        self.accepted(check("common/base/mutex.h", "std::mutex m;"))
        self.accepted(check("common/gpu/kernel.h", "atomicAdd(p, v); k<<<1, 2>>>();"))
        self.refused(check("server/optim/update_gpu.cu", "atomicAdd(p, v);"), "AddInteger")
        self.accepted(check("tests/a.cc", 'getenv("X")'))
        self.refused(check("a.h", "using namespace std;"), "name what")
        self.accepted(check("a.cc", "using namespace x;"))
        self.refused(check("CMakeLists.txt", "f(-ffast-math)"), "-ffast-math")

    def test_04_notes(self):
        self.refused(checks.check_notes("a.cc", "x;\n// " + "FIX" + "ME later\n"), "a.cc:2")
        self.accepted(checks.check_notes("a.cc", "prefixes and methods"))

    def test_06_symbols(self):
        self.accepted(checks.check_symbols("a.o", NAMES))
        self.refused(checks.check_symbols("a.o", NAMES + "copy W 0 1\n"), "weak symbol copy")
        self.refused(checks.check_symbols("a.o", NAMES + "other R 0 1\n"), "not 2: name other")
        self.refused(checks.check_symbols("a.o", ""), "not 0")

    def test_07_metrics(self):
        self.accepted(checks.check_metrics('{"drover_a_total"}', "| `drover_a_total` |"))
        self.refused(checks.check_metrics('{"drover_a_total"}', ""), "is missing")
        self.refused(checks.check_metrics("", "`drover_b_total`"), "is not in")

    def test_08_markdown(self):
        def check(text):
            return checks.check_markdown("docs/a.md", text, {"docs/b.md", "run"}.__contains__)

        self.accepted(check("# A\n[b](b.md#part) [r](../run) [w](http://x) `[c](c.md)` [h](#a)\n"))
        self.accepted(check("# A\n```\n# a comment\n[c](c.md)\n```\n"))
        self.refused(check("# A\n# B\n"), "not 2")
        self.refused(check("text\n"), "not 0")
        self.refused(check("# A\n[c](c.md)\n"), "c.md leads nowhere")

    def test_08_commands(self):
        def check(text):
            return checks.check_commands("README.md", text, {"run"}.__contains__)

        self.accepted(check("`./run` ./build/release/bin/drover"))
        self.refused(check("$ ./start --now"), "./start")

    def test_09_confinement(self):
        self.refused(checks.check_confined("server/shard/a.cc", "#include <sqlite3.h>\n", LAYERS),
                     "SQLite (sqlite3.h) is confined to")
        self.accepted(checks.check_confined("server/coordinator/job_store.cc",
                                            "#include <sqlite3.h>\n", LAYERS))
        self.refused(checks.check_confined("server/a.cc", '#include "proto/x.grpc.pb.h"\n', LAYERS),
                     "gRPC")

    def test_10_git_files(self):
        self.accepted(checks.check_git_file("a.cc", 1 << 20))
        self.refused(checks.check_git_file("a.bin", (1 << 20) + 1), "1 MiB")
        self.refused(checks.check_git_file("proto/a.pb.h", 1), "generated")

    def test_10_packages(self):
        packages = checks.package_names("# x\nbuild zlib1g-dev\n")
        self.refused(checks.check_package_lists("Dockerfile", "RUN apt-get install libfmt-dev"),
                     "libfmt-dev")
        self.refused(checks.check_package_hints("p.cmake", "find(fmt libfmt-dev)", packages),
                     "libfmt-dev")

    def test_lengths(self):
        text = ("namespace a {\nconst int k[] = {\n  1,\n};\n"
                "void F(int x) {\n  if (x) {\n  }\n}\n}  // namespace a\n")
        self.assertEqual(checks.function_lengths("a.cc", text), [(4, "a.cc:5")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
