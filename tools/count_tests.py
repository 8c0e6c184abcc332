"""count_tests.py EVENTS: counts test cases in Bazel's build events.

Prints "N passed, N failed". A target that failed without a failed case of its
own (it crashed, timed out or did not build) counts as one failure. Exit status
1 when anything failed or nothing ran.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree


def count_cases(path):
    """The passed and the failed cases in one test.xml."""
    passed = failed = 0
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is None and case.get("status") != "notrun":
            passed += 1
    return passed, failed


def xml_path(result):
    for output in result.get("testActionOutput", []):
        if output["name"] == "test.xml":
            return urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
    return None


def read_events(path):
    """The last result of each test action, and the targets that did not run."""
    results, unbuilt = {}, set()
    with open(path, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event and "testResult" in event["id"]:
                key = event["id"]["testResult"]
                action = (key["label"], key.get("run"), key.get("shard"))
                results[action] = event["testResult"]
            elif "targetCompleted" in event["id"]:
                if not event.get("completed", {}).get("success"):
                    unbuilt.add(event["id"]["targetCompleted"]["label"])
    return results, unbuilt


def main():
    results, unbuilt = read_events(sys.argv[1])
    passed, failed = 0, len(unbuilt)
    for result in results.values():
        path = xml_path(result)
        case_passed, case_failed = count_cases(path) if path else (0, 0)
        if result["status"] not in ("PASSED", "FLAKY") and case_failed == 0:
            case_failed = 1
        passed += case_passed
        failed += case_failed
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
