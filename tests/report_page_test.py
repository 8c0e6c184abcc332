#!/usr/bin/python3
"""The page of `taskmem report`, in headless Chromium: what it shows at a moment and in a range is what
was recorded. Skipped where there is no Chromium (Debian's package is chromium)."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from html.parser import HTMLParser

FILES = os.path.join(os.environ["TEST_SRCDIR"], "taskmem")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Tasks of threads that grow, end, leave memory behind, and one that is refused; then a name that looks
# like markup.
PROGRAM = """
import ctypes, threading, time
kept = []
def work(megabytes, keeps):
    try:
        held = [b"x" * (1 << 20) for _ in range(megabytes)]
        time.sleep(0.05)
        if keeps: kept.extend(held[:keeps])
        bytearray(megabytes << 20)
    except MemoryError:
        pass
for megabytes, keeps in ((8, 0), (24, 4), (40, 0)):
    thread = threading.Thread(target=work, args=[megabytes, keeps])
    thread.start()
    thread.join()
ctypes.CDLL(None).prctl(15, b"</script><b>", 0, 0, 0)
time.sleep(0.2)
"""


class Page(HTMLParser):
    """The elements that have an id or lie in the table of tasks, as Chromium shows them."""

    def __init__(self, text):
        super().__init__()
        self.attributes = {}
        self.texts = {}
        self.rows = []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self._open.append((tag, attributes.get("id")))
        if "id" in attributes:
            self.attributes[attributes["id"]] = attributes
        if tag == "tr" and "data-task" in attributes:
            self.rows.append({"task": int(attributes["data-task"])})
        if tag == "td" and "data-key" in attributes and self.rows:
            self.rows[-1][attributes["data-key"]] = attributes["data-value"]

    def handle_endtag(self, tag):
        while self._open:
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data):
        for _, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data


def value_at(rows, time_us):
    last = 0
    for time, value in rows:
        if time > time_us:
            break
        last = value
    return last


@unittest.skipIf(CHROMIUM is None, "no Chromium is installed: the page is not looked at")
class ReportPageTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = cls.temporary.name
        shutil.copy(os.path.join(FILES, "tools/taskmem_command"), cls.path("taskmem"))
        shutil.copy(os.path.join(FILES, "shim/libtaskmem.so"), cls.path("libtaskmem.so"))
        cls.environment = {key: value for key, value in os.environ.items()
                           if not key.startswith("TASKMEM_")}
        cls.environment.update(TASKMEM_STATS_DIR=cls.path("stats"), HOME=cls.path("home"))
        os.mkdir(cls.path("home"))
        cls.run_it("taskmem", "run", "--quiet", "--task-by", "thread", "--quota", "64M", "--record",
                   cls.path("recording"), "--", "/usr/bin/python3", "-c", PROGRAM)
        cls.run_it("taskmem", "report", cls.path("recording"), "-o", cls.path("report.html"))
        cls.recording = json.loads(cls.run_it("taskmem", "report", cls.path("recording"), "--json"))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def run_it(cls, program, *arguments):
        done = subprocess.run([cls.path(program), *arguments], env=cls.environment, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            raise AssertionError(done)
        return done.stdout

    def show(self, fragment="", script=""):
        """The page after `script`, which is run at its end."""
        with open(self.path("report.html"), encoding="utf-8") as file:
            text = file.read()
        with open(self.path("shown.html"), "w", encoding="utf-8") as file:
            file.write(text + "<script>" + script + "</script>")
        done = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000",
             "--user-data-dir=" + self.path("profile"), "--dump-dom",
             "file://" + self.path("shown.html") + fragment],
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 0, done)
        return Page(done.stdout.decode())

    def assert_shows(self, page, from_us, to_us):
        """What the table says is what the recording has."""
        shown_from = int(page.attributes["range"]["data-from-us"])
        shown_to = int(page.attributes["range"]["data-to-us"])
        self.assertLessEqual(shown_from, from_us)
        self.assertLessEqual(shown_to, to_us)
        tasks = self.recording["tasks"]
        self.assertNotEqual(page.rows, [])
        total = 0
        for row in page.rows:
            task = tasks[row["task"]]
            at = value_at(task["charged_bytes"], shown_to)
            self.assertEqual(int(row["at"]), at, task["name"])
            self.assertEqual(int(row["grown"]), at - value_at(task["charged_bytes"], shown_from))
            inside = [value for time, value in task["charged_bytes"]
                      if shown_from <= time <= shown_to]
            inside += [at, value_at(task["charged_bytes"], shown_from)]
            self.assertEqual(int(row["peak"]), max(inside))
            total += at
        self.assertEqual(int(page.attributes["shown"]["data-sum"]), total)
        return total

    def test_it_begins_at_the_peak(self):
        page = self.show()
        self.assertEqual(int(page.attributes["range"]["data-to-us"]), self.recording["peak_us"])
        self.assertEqual(int(page.attributes["summary"]["data-peak"]),
                         self.recording["peak_charged_bytes"])
        total = self.assert_shows(page, self.recording["peak_us"], self.recording["peak_us"])
        self.assertEqual(total, self.recording["peak_charged_bytes"])
        # Of sampled stacks: near what is charged.
        live = sum(site["bytes"] for site in self.recording["sites_at_peak"])
        self.assertEqual(int(page.attributes["flame"]["data-bytes"]), live)
        self.assertGreater(live, 0)

    def test_a_range_is_computed_anew(self):
        end = self.recording["duration_us"]
        for from_us, to_us in ((0, end), (end // 4, end // 2), (end // 2, end // 2), (end, end)):
            page = self.show("#%d-%d" % (from_us, to_us))
            self.assert_shows(page, from_us, to_us)

    def test_the_mouse_selects_ranges_and_moments(self):
        mouse = """
            const over = document.querySelector('#chart .u-over');
            const box = over.getBoundingClientRect();
            const mouse = (kind, part, target) => target.dispatchEvent(new MouseEvent(kind, {
                bubbles: true, movementX: 1, clientX: box.left + part * box.width, clientY: box.top + 50}));
            const drag = (from, to) => {
                mouse('mouseenter', from, over); mouse('mousemove', from, over); mouse('mousedown', from, over);
                mouse('mousemove', to, over); mouse('mouseup', to, document); mouse('click', to, over);
            };
        """
        end = self.recording["duration_us"]
        moments = sorted({0, end}.union(*(
            [time for time, _ in task["charged_bytes"]] for task in self.recording["tasks"])))

        def assert_near(shown, us):
            """It is the last moment until then, to a pixel or two."""
            self.assertLessEqual(shown, us + end / 100)
            self.assertGreaterEqual(shown, [at for at in moments if at <= max(0, us - end / 100)][-1])

        def assert_range(script, from_us, to_us):
            page = self.show(script=mouse + script)
            shown = [int(page.attributes["range"][name]) for name in ("data-from-us", "data-to-us")]
            assert_near(shown[0], from_us)
            assert_near(shown[1], to_us)
            self.assert_shows(page, *shown)

        assert_range("drag(0.2, 0.8)", end * 0.2, end * 0.8)
        assert_range("drag(0.2, 0.8); drag(0.5, 0.5)", end * 0.5, end * 0.5)
        assert_range("drag(0.5, 0.5); drag(0.9, 0.3); drag(0.8, 0.4)", end * 0.4, end * 0.8)

    def test_refusals_are_events_and_markers(self):
        page = self.show("#0-%d" % self.recording["duration_us"])
        refusals = sum(task["counters"].get("refusals", 0) for task in self.recording["tasks"])
        self.assertGreater(refusals, 0)
        self.assertEqual(sum(int(row["refusals"]) for row in page.rows), refusals)
        self.assertIn("refusal", page.texts["events"])
        self.assertIn("refused", page.texts["markers"])

    def test_names_are_text(self):
        with open(self.path("report.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text.count("</script>"), 3)
        page = self.show()
        self.assertIn("</script><b>", page.texts["tasks"])

    def test_nothing_is_fetched(self):
        with open(self.path("report.html"), encoding="utf-8") as file:
            text = file.read()
        self.assertIsNone(re.search(r"<(?:link|img|iframe)\b|<script[^>]+src=|@import|url\(", text))


if __name__ == "__main__":
    unittest.main()
