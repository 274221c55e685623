"""Prints the counts of a conformance report and fails unless everything passed.

The runner ends with success when tests were skipped, and even when it could not
read its configuration. A group that vanishes would therefore go unnoticed; here
every group of APIs and of data has to be there and has to have passed.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import yaml

# The only groups that may be switched off; the reasons are in `run`.
MAY_BE_DISABLED = {"Sparse Manifests"}

# What the pinned runner counts against a registry that passes everything, with the
# groups that `run` enables. Fewer mean that it stopped early or that a test vanished.
FEWEST_PASSES = 986

STATUS_OF_JUNIT = {"passed": "pass", "failure": "fail", "error": "error", "skipped": "skip"}

SHOWN_FAILURES = 40


def main() -> int:
    report = Path(sys.argv[1])
    if not (report / "junit.xml").is_file():
        print((report / "output.txt").read_text(errors="replace"), file=sys.stderr)
        print("conformance: the runner wrote no report", file=sys.stderr)
        return 1

    suites = ElementTree.parse(report / "junit.xml").getroot()
    counts = Counter(
        {
            "fail": int(suites.get("failures", 0)),
            "error": int(suites.get("errors", 0)),
            "skip": int(suites.get("skipped", 0)),
            "disabled": int(suites.get("disabled", 0)),
        }
    )
    counts["pass"] = int(suites.get("tests", 0)) - sum(counts.values())

    results = yaml.safe_load((report / "results.yaml").read_text())
    groups = {**results["apis"], **results["data"]}
    bad_groups = {
        name: status
        for name, status in sorted(groups.items())
        if status != "Pass" and not (status == "Disabled" and name in MAY_BE_DISABLED)
    }

    bad_cases = [
        case
        for case in suites.iter("testcase")
        if STATUS_OF_JUNIT.get(case.get("status", ""), "error") != "pass"
    ]
    for case in bad_cases[:SHOWN_FAILURES]:
        reason = (case.findtext("system-out") or "").strip().replace("\n", "\n      ")
        print(f"  {case.get('status')}: {case.get('name')}\n      {reason}")
    if len(bad_cases) > SHOWN_FAILURES:
        print(f"  ... and {len(bad_cases) - SHOWN_FAILURES} more, see report.html")
    for name, status in bad_groups.items():
        print(f"  group not passed: {name}: {status}")

    shown = ", ".join(
        f"{counts[name]} {name}" for name in ("pass", "fail", "error", "skip", "disabled")
    )
    print(f"conformance (OCI {results['config']['version']}): {shown}; {len(groups)} groups")

    if counts["pass"] < FEWEST_PASSES:
        print(f"conformance: fewer than {FEWEST_PASSES} passes", file=sys.stderr)
        return 1
    not_passed = counts["fail"] + counts["error"] + counts["skip"] + counts["disabled"]
    return 1 if bad_groups or bad_cases or not_passed else 0


if __name__ == "__main__":
    sys.exit(main())
