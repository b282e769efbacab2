#!/usr/bin/env python3
"""Counts the tests that ./test ran, case by case, and says why the others did not run.

usage: test_summary.py [--phase NAME] RESULTS

RESULTS holds, per phase NAME: NAME.junit.xml (what CTest says of each program), NAME/PROGRAM.xml
(what GoogleTest says of each case), NAME.code (exit status of CTest); and *.broken, one line each,
for what could not be built. A case that ran in several phases counts once, by its worst result.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

FAILED, PASSED, SKIPPED = "failed", "passed", "skipped"
RANK = {FAILED: 2, PASSED: 1, SKIPPED: 0}
NO_REASON = "its program keeps the reason to itself: let it call unittest.main(verbosity=2)"


def googletest_cases(program, path):
    """Yields (name, result, reason) of each case in a report of GoogleTest."""
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{program}: {case.get('classname')}.{case.get('name')}"
        failure, skip = case.find("failure"), case.find("skipped")
        if case.get("status") == "notrun":
            yield name, SKIPPED, "disabled"
        elif failure is not None:
            yield name, FAILED, failure.get("message", "")
        elif skip is not None:
            yield name, SKIPPED, skip.get("message", "").partition("\n")[2]
        else:
            yield name, PASSED, ""


def python_cases(program, output):
    """The cases of a unittest program, from its output; empty when it is none."""
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if not ran:
        return []
    counts = {key: int(n) for key, n in re.findall(r"(failures|errors|skipped)=(\d+)",
                                                   output[ran.end():])}
    failed = re.findall(r"^(?:FAIL|ERROR): (\w+).*\n-{9,}\n((?:.*\n)*?)(?=={9,}|-{9,})", output,
                        re.MULTILINE)
    skipped = re.findall(r"\.\.\. skipped (['\"])(.*)\1$", output, re.MULTILINE)
    failed += [("?", "")] * (counts.get("failures", 0) + counts.get("errors", 0) - len(failed))
    skipped += [("", NO_REASON)] * (counts.get("skipped", 0) - len(skipped))
    cases = [(f"{program}: {name}", FAILED, re.split(r"(?m)^\w*Error: ?", trace)[-1].strip())
             for name, trace in failed]
    cases += [(f"{program}: skipped #{i}", SKIPPED, why) for i, (_, why) in enumerate(skipped)]
    passed = int(ran.group(1)) - len(cases)
    return cases + [(f"{program}: passed #{i}", PASSED, "") for i in range(passed)]


def program_cases(entry, report):
    """The cases of one program that CTest ran; `report` is where GoogleTest would report."""
    program, status = entry.get("name"), entry.get("status")
    output = entry.findtext("system-out") or ""
    if status in ("notrun", "disabled") and entry.find("skipped") is not None:
        why = entry.find("skipped").get("message") or "not run"
        return [(program, SKIPPED, why)]
    cases = []
    if report.exists():
        try:
            cases = list(googletest_cases(program, report))
        except ElementTree.ParseError:
            pass  # Cut off by a crash: CTest's word counts.
    cases = cases or python_cases(program, output)
    if status != "run" and not any(result == FAILED for _, result, _ in cases):
        # It crashed, hung or leaked: the program fails though each finished case passed.
        why = " / ".join(output.strip().splitlines()[-3:])
        return cases + [(program, FAILED, f"{status}: {why}")]
    if not cases:
        cases = [(program, PASSED, "")]
    return cases


def phase_cases(results, phase):
    junit = results / f"{phase}.junit.xml"
    cases = []
    if junit.exists():
        for entry in ElementTree.parse(junit).iter("testcase"):
            cases += program_cases(entry, results / phase / f"{entry.get('name')}.xml")
    code = (results / f"{phase}.code").read_text().strip()
    if code != "0" and not any(result == FAILED for _, result, _ in cases):
        cases.append((phase, FAILED, f"ctest exited with {code}"))
    return cases


def counts(cases):
    return tuple(sum(1 for _, result, _ in cases if result == kind)
                 for kind in (PASSED, FAILED, SKIPPED))


def all_cases(results):
    worst = {}
    for code in sorted(results.glob("*.code")):
        for name, result, why in phase_cases(results, code.stem):
            if name not in worst or RANK[result] > RANK[worst[name][0]]:
                worst[name] = (result, f"[{code.stem}] {why}" if result == FAILED else why)
    for broken in sorted(results.glob("*.broken")):
        worst[broken.stem] = (FAILED, broken.read_text().strip())
    return [(name, result, why) for name, (result, why) in worst.items()]


def print_summary(cases):
    for name, result, why in cases:
        if result == FAILED:
            print(f"failed    {name}: " + "\n            ".join(why.splitlines()[:12]))
    reasons = {}
    for name, result, why in cases:
        if result == SKIPPED:
            reasons.setdefault(why.strip(), []).append(name)
    for why, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"skipped   {names[0]}{more}: {why}")
    print("{} passed, {} failed, {} skipped".format(*counts(cases)))


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--phase":
        passed, failed, _ = counts(phase_cases(pathlib.Path(arguments[2]), arguments[1]))
        print(f"{passed} passed" + (f", {failed} FAILED" if failed else ""))
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    cases = all_cases(pathlib.Path(arguments[0]))
    print_summary(cases)
    passed, failed, _ = counts(cases)
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
