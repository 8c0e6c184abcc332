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
# A task for each of 1,000 threads, one of which is larger than all others.
MANY = """
import threading
def work(number):
    held = b"x" * ((8 << 20) if number == 700 else (64 << 10) + number)
    all_hold.wait()
all_hold = threading.Barrier(1000)
threads = [threading.Thread(target=work, args=[number]) for number in range(1000)]
threading.stack_size(256 << 10)
for thread in threads: thread.start()
for thread in threads: thread.join()
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


class RecordedPage(unittest.TestCase):
    """Of PROGRAM."""

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
                   cls.path("recording"), "--", "/usr/bin/python3", "-c", cls.PROGRAM)
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

    def show(self, fragment="", script="", options=()):
        """The page after `script`, which is run at its end; `options` are Chromium's."""
        with open(self.path("report.html"), encoding="utf-8") as file:
            text = file.read()
        with open(self.path("shown.html"), "w", encoding="utf-8") as file:
            file.write(text + "<script>" + script + "</script>")
        done = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000",
             "--user-data-dir=" + self.path("profile"), *options, "--dump-dom",
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


@unittest.skipIf(CHROMIUM is None, "no Chromium is installed: the page is not looked at")
class ReportPageTest(RecordedPage):
    PROGRAM = PROGRAM

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

    def test_keys_do_what_the_mouse_does(self):
        keys = """
            const press = (key, target = document.body, shiftKey = false) =>
                target.dispatchEvent(new KeyboardEvent('keydown', {key, shiftKey, bubbles: true}));
        """
        end = self.recording["duration_us"]
        peak = self.recording["peak_us"]

        def range_after(script):
            page = self.show(script=keys + script)
            shown = [int(page.attributes["range"][name]) for name in ("data-from-us", "data-to-us")]
            self.assert_shows(page, *shown)
            return shown

        last = range_after("press('e')")
        self.assertEqual(last[0], last[1])
        self.assertLessEqual(peak, last[0])
        self.assertLessEqual(last[0], end)
        self.assertEqual(range_after("press('a')"), [0, last[1]])
        self.assertEqual(range_after("press('e'); press('p')"), [peak, peak])
        self.assertEqual(range_after("press('a'); press('Escape')"), [peak, peak])
        moved = range_after("press('e'); press('ArrowLeft'); press('ArrowLeft')")
        self.assertEqual(moved[0], moved[1])
        self.assertLess(moved[0], last[0])
        self.assertEqual(range_after("press('e'); press('ArrowLeft'); press('ArrowRight')"), last)
        widened = range_after("press('p'); press('ArrowRight', document.body, true)")
        self.assertEqual(widened[0], peak)
        self.assertGreater(widened[1], peak)
        # What is typed into a field is no command.
        self.assertEqual(range_after("press('/'); press('e', document.activeElement)"), [peak, peak])
        row = "document.querySelector('#tasks tbody tr')"
        self.assertIn("one is chosen", self.show(script=keys + "press('Enter', %s)" % row).texts["shown"])

    def test_it_can_be_read_in_the_light_in_the_dark_and_on_paper(self):
        look = """
            const channels = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
            const luminance = (colour) => {
                const [red, green, blue] = channels(colour).map((value) => {
                    const part = value / 255;
                    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            };
            const back = luminance(getComputedStyle(document.body).backgroundColor);
            let least = 21;
            for (const name of ['h1', 'h2', '#summary', '.hint', '#shown', '#tasks td', '#range', 'footer']) {
                const text = luminance(getComputedStyle(document.querySelector(name)).color);
                least = Math.min(least, (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05));
            }
            const root = document.getElementById('range');
            root.dataset.back = String(back);
            root.dataset.contrast = String(least);
            for (const rule of document.styleSheets[0].cssRules) {
                if (rule.media && rule.media.mediaText === 'print') rule.media.mediaText = 'all';
            }
            const style = (name) => getComputedStyle(document.querySelector(name));
            root.dataset.buttons = style('#to-peak').display;
            root.dataset.tables = style('.scroll').overflow + ' ' + style('.scroll').maxHeight;
        """
        for scheme, is_dark in ((0, True), (1, False)):
            page = self.show(script=look,
                             options=["--blink-settings=preferredColorScheme=%d" % scheme])
            shown = page.attributes["range"]
            self.assertEqual(float(shown["data-back"]) < 0.2, is_dark, shown)
            # What the WCAG ask for of normal text.
            self.assertGreaterEqual(float(shown["data-contrast"]), 4.5)
            # On paper nothing is to be pressed, and tables are whole.
            self.assertEqual(shown["data-buttons"], "none")
            self.assertEqual(shown["data-tables"], "visible none")

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


@unittest.skipIf(CHROMIUM is None, "no Chromium is installed: the page is not looked at")
class ManyTasksTest(RecordedPage):
    PROGRAM = MANY

    def test_the_largest_come_first_and_all_count(self):
        page = self.show()
        tasks = self.recording["tasks"]
        self.assertGreater(len(tasks), 1000)
        peak = self.recording["peak_us"]
        self.assertEqual(int(page.attributes["shown"]["data-sum"]),
                         sum(value_at(task["charged_bytes"], peak) for task in tasks))
        at = [int(row["at"]) for row in page.rows]
        self.assertEqual(at, sorted(at, reverse=True))
        self.assertGreater(at[0], 8 << 20)
        for row in page.rows:
            self.assertEqual(int(row["at"]),
                             value_at(tasks[row["task"]]["charged_bytes"], peak))
        self.assertRegex(page.texts["shown"], r"the first [0-9]+ of 1,?00[0-9] tasks")
        self.assertIn("others", page.texts["chart"])

    def test_a_filter_finds_what_is_not_among_the_first(self):
        peak = self.recording["peak_us"]
        holders = [task for task in self.recording["tasks"]
                   if task["task_id"] is not None and value_at(task["charged_bytes"], peak) > 0]
        smallest = min(holders, key=lambda task: value_at(task["charged_bytes"], peak))
        page = self.show(script="""
            const filter = document.getElementById('filter');
            filter.value = 'tid %d';
            filter.dispatchEvent(new Event('input'));
        """ % (smallest["task_id"] & 0xffffffff))
        numbers = [row["task"] for row in page.rows]
        self.assertIn(self.recording["tasks"].index(smallest), numbers)
        self.assertLess(len(numbers), 100)


if __name__ == "__main__":
    unittest.main()
