"""The checks, each a function from text to a list of problems; pure, so that bad examples can
test them. A problem says what stands where and what to write instead."""

import os
import posixpath
import re

from tree import matches

# Flags of the compiler: (pattern, replacement, files where it is allowed).
BANNED_FLAGS = [
    (r"-ffast-math|--use_fast_math|-Ofast", "exact arithmetic (the same bits everywhere)", []),
]
BANNED_WORDS = BANNED_FLAGS + [
    (r"\bthrow\b", "a Status (common/base/status.h)", []),
    (r"\b(std::)?(sto(i|l|ll|ul|ull)|ato(i|l|ll)|strto(l|ll|ul|ull))\b",
     "ParseInt (common/base/parse.h)", []),
    (r"\b(std::)?(sto(f|d|ld)|atof|strto(f|d|ld))\b", "ParseFloat (common/base/parse.h)", []),
    (r"std::(recursive_|shared_|timed_)?mutex\b|std::(lock_guard|unique_lock|scoped_lock)\b"
     r"|std::condition_variable", "Mutex, MutexLock, CondVar (common/base/mutex.h)",
     ["common/base/mutex.h"]),
    (r"std::j?thread\b", "Thread (common/base/thread.h)", ["common/base/thread.h"]),
    (r"\b(steady_clock|system_clock|high_resolution_clock)\b"
     r"|\b(sleep_for|sleep_until|usleep|nanosleep)\b",
     "Clock or SleepFor (common/base/clock.h)", ["common/base/clock.cc"]),
    (r"\b(secure_)?getenv\b", "a flag (no environment variables)", ["tests/*"]),
    (r"\bs?rand\s*\(", "Philox (common/base/philox.h)", []),
    (r"\bcudaDeviceSynchronize\b", "an event or a stream of one's own", []),
    (r"\batomic(Add|Min|Max|CAS|Exch)\b",
     "AddInteger or MinInteger (common/gpu/kernel.h), or a sum in fixed order",
     ["common/gpu/kernel.h", "tests/support/cuda_emulator/*", "tests/unit/common/gpu/emulator_*"]),
    (r"<<<|__shared__", "DROVER_LAUNCH or DROVER_SHARED_ARRAY (common/gpu/kernel.h)",
     ["common/gpu/kernel.h"]),
]
BANNED_NOTES = r"\b(FIX[M]E|TOD[O]|XX[X])\b"  # The brackets hide this line from itself.

PURE_FORBIDDEN_INCLUDES = [
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore", "fstream",
    "filesystem", "random", "chrono", "ctime", "time.h", "sys/*", "unistd.h", "pthread.h",
    "grpc*", "google/*", "sqlite3.h", "proto/*", "common/base/mutex.h", "common/base/thread.h",
    "common/base/thread_pool.h", "common/base/bounded_queue.h", "common/base/file_system.h",
    "common/base/logging.h", "common/rpc/*", "common/metrics/*",
]
PURE_ALLOWED_INCLUDES = [
    "common/rpc/frame_header.h",  # A plain struct.
    "common/rpc/deafness.h",      # Pure itself.
]
PURE_FORBIDDEN_WORDS = r"\b(Clock|SleepFor|Thread|Mutex|FileSystem)\b"


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def includes(text):
    """(line, path) of every #include."""
    found = re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', text, re.MULTILINE)
    return [(line_of(text, m.start()), m.group(1)) for m in found]


def without_comments_and_strings(text):
    """The same lines, with comments and the insides of literals blanked."""
    token = re.compile(r'R"([^(\s]*)\((?:.|\n)*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
                       r"|//[^\n]*|/\*(?:.|\n)*?\*/")
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


# 1. Layers and purity.

def check_layers(path, text, layers):
    folder = posixpath.dirname(path)
    if path.startswith("tests/"):
        return []
    if folder not in layers.layers:
        return [f"{path}: folder {folder} is not in tests/tidy/layers.txt"]
    allowed, problems = layers.layers[folder], []
    for line, included in includes(text):
        top = included.partition("/")[0]
        if top not in ("proto", "common", "server", "worker", "tests"):
            continue
        target = posixpath.dirname(included)
        if target != folder and target not in allowed and included not in allowed:
            problems.append(f"{path}:{line}: {folder} may not include {included} "
                            "(tests/tidy/layers.txt)")
    return problems


def is_pure(path, layers):
    return posixpath.splitext(path)[0] in layers.pure


def check_pure(path, text):
    problems = [f"{path}:{line}: a pure file may not include {included}"
                for line, included in includes(text) if matches(included, PURE_FORBIDDEN_INCLUDES)
                and not matches(included, PURE_ALLOWED_INCLUDES)]
    code = without_comments_and_strings(text)
    return problems + [f"{path}:{line_of(code, m.start())}: a pure file may not name {m.group(0)}: "
                       "let the caller pass what it gives"
                       for m in re.finditer(PURE_FORBIDDEN_WORDS, code)]


# 2. Guards and first lines.

def check_header(path, text):
    problems = []
    if not text.startswith("//"):
        problems.append(f"{path}:1: begin with a comment: what this is, what not, thread rule")
    guard = "DROVER_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
    wanted = f"#ifndef {guard}\n#define {guard}\n"
    if wanted not in text or not text.rstrip().endswith(f"#endif  // {guard}"):
        problems.append(f"{path}: expected the include guard {guard}")
    return problems


# 3. Everything is built.

def check_reached(paths, texts):
    """`texts` maps each CMakeLists.txt among `paths` to its content."""
    problems = []
    for path in paths:
        if not path.endswith((".cc", ".cu", ".proto")):
            continue
        folder, known = posixpath.dirname(path), False
        while not known:
            listing = texts.get(posixpath.join(folder, "CMakeLists.txt"), "")
            relative = posixpath.relpath(path, folder or ".")
            # proto/CMakeLists.txt names files by their stem, in a loop.
            stem = posixpath.splitext(posixpath.basename(path))[0]
            words = re.sub(r"#[^\n]*", "", listing).replace("(", " ").replace(")", " ").split()
            known = relative in words or (path.endswith(".proto") and stem in words)
            if not folder:
                break
            folder = posixpath.dirname(folder)
        if not known:
            problems.append(f"{path}: in no CMakeLists.txt, so nothing compiles or runs it")
    for path in texts:
        folder = posixpath.dirname(path)
        parent, known = posixpath.dirname(folder), not folder or not texts[path].strip()
        while folder and not known:
            command = f"add_subdirectory({posixpath.relpath(folder, parent or '.')})"
            known = command in texts.get(posixpath.join(parent, "CMakeLists.txt"), "")
            if not parent:
                break
            parent = posixpath.dirname(parent)
        if not known:
            problems.append(f"{path}: no CMakeLists.txt above it says add_subdirectory")
    return problems


def check_headers_used(headers, texts):
    """`texts` maps every source to its content."""
    used = {included for text in texts.values() for _, included in includes(text)}
    return [f"{h}: no file includes it" for h in headers if h not in used]


def check_cmake_comments(path, text):
    return [f"{path}:{number}: commented-out line: delete it"
            for number, line in enumerate(text.splitlines(), 1)
            if re.match(r"\s*#+\s*(\w+\s*\([^)]*\)\s*$|\S+\.(cc|cu|h|proto)\)?\s*$|\w+\($)", line)]


# 4. Banned words.

def check_banned(path, text, banned):
    is_code = path.endswith((".h", ".cc", ".cu", ".cuh"))
    code, problems = without_comments_and_strings(text) if is_code else text, []
    for pattern, replacement, allowed in banned:
        if matches(path, allowed):
            continue
        for m in re.finditer(pattern, code):
            problems.append(f"{path}:{line_of(code, m.start())}: {m.group(0).strip('( ')}: "
                            f"use {replacement}")
    if path.endswith((".h", ".cuh")):
        for m in re.finditer(r"\busing\s+namespace\b", code):
            problems.append(f"{path}:{line_of(code, m.start())}: using namespace in a header: "
                            "name what you use")
    return problems


def check_notes(path, text):
    return [f"{path}:{line_of(text, m.start())}: {m.group(0)}: finish it or open an issue"
            for m in re.finditer(BANNED_NOTES, text)]


# 6. Objects compiled per instruction set.

def check_symbols(path, nm_output):
    """`nm_output` is what `nm --extern-only --defined-only --format=posix` prints."""
    symbols = [line.split()[:2] for line in nm_output.splitlines() if len(line.split()) >= 2]
    weak = [name for name, kind in symbols if kind in "WwVvu"]
    strong = [name for name, kind in symbols if kind not in "WwVvu"]
    problems = [f"{path}: weak symbol {name}: the linker may give this instruction set's copy to "
                "everyone; make it static or inline it" for name in weak]
    if len(strong) != 1:
        problems.append(f"{path}: expected exactly one exported symbol, not {len(strong)}: "
                        f"{' '.join(strong)}")
    return problems


# 7. Metrics.

def check_metrics(table, document):
    in_table = set(re.findall(r'"(drover_[a-z0-9_]+)"', table))
    in_document = set(re.findall(r"`(drover_[a-z0-9_]+)`", document))
    return ([f"docs/metrics.md: {m} is missing" for m in sorted(in_table - in_document)] +
            [f"docs/metrics.md: {m} is not in common/metrics/metric_table.h"
             for m in sorted(in_document - in_table)])


# 8. Documents.

def check_markdown(path, text, exists):
    prose = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^# .+$", prose, re.MULTILINE)
    problems = []
    if len(titles) != 1:
        problems.append(f"{path}: expected one title (# ...), not {len(titles)}")
    for target in re.findall(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)", re.sub(r"`[^`\n]*`", "", prose)):
        file = target.partition("#")[0]
        if not file or re.match(r"[a-z]+:", file):
            continue
        resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), file))
        if not exists(resolved):
            problems.append(f"{path}: link {target} leads nowhere")
    return problems


def check_commands(path, text, exists):
    return [f"{path}: command {command} does not exist"
            for command in sorted(set(re.findall(r"(?:^|[\s`(])(\./[\w./-]*\w)", text)))
            if not command.startswith("./build/") and not exists(os.path.normpath(command))]


# 9. Libraries stay where they are wrapped.

def check_confined(path, text, layers):
    if path.startswith("tests/"):
        return []
    return [f"{path}:{line}: {library} ({included}) is confined to {' '.join(files)}"
            for line, included in includes(text)
            for library, headers, files in layers.confined
            if matches(included, headers) and not matches(path, files)]


# 10. What is in git.

GENERATED = ["*.pb.h", "*.pb.cc", "*_pb2.py", "*_pb2_grpc.py", "*.o", "*.a", "*.so", "*.pyc",
             "*compile_commands.json", "*.orig", "*.rej"]
FILE_BYTES_MAX = 1 << 20


def check_git_file(path, size):
    problems = []
    if size > FILE_BYTES_MAX:
        problems.append(f"{path}: {size} bytes: keep files above 1 MiB out of git")
    if matches(path, GENERATED):
        problems.append(f"{path}: generated: keep it out of git")
    return problems


def package_names(packages_text):
    return {line.split()[1] for line in packages_text.splitlines()
            if line.strip() and not line.startswith("#")}


def check_package_lists(path, text):
    return [f"{path}: names the package {name}: deploy/packages.txt is the one list"
            for name in sorted(set(re.findall(r"\blib[a-z0-9+.-]+-dev\b", text)))]


def check_package_hints(path, text, packages):
    named = set(re.findall(r"\b[a-z0-9][a-z0-9+.-]*-dev\b", text))
    return [f"{path}: package {name} is not in deploy/packages.txt" for name in
            sorted(named - packages)]


# Warnings.

def function_lengths(path, text):
    """(lines, path:line) of functions, by the indentation that clang-format gives them."""
    lines, found = without_comments_and_strings(text).splitlines(), []
    for number, line in enumerate(lines):
        head = re.match(r"( {0,2})(?!(namespace|class|struct|enum|union|extern)\b)"
                        r"(?!(if|for|while|switch|do|else|case|try)\b)[^\s}].*[^=({] \{$", line)
        if not head:
            continue
        for end in range(number + 1, len(lines)):
            if lines[end].startswith(head.group(1) + "}"):
                found.append((end - number + 1, f"{path}:{number + 1}"))
                break
    return found
