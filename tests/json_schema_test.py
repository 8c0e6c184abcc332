#!/usr/bin/python3
"""Every JSON document of the command is as tools/base/documents.schema.json says: it has all that
stands there, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import jsonschema

FILES = os.path.join(os.environ["TEST_SRCDIR"], "taskmem")
# A child that holds enough to be listed, a site of each kind, a refusal.
PROGRAM = ("import subprocess, sys; held = [b'x' * (8 << 20) for _ in range(4)]\n"
           "subprocess.run([sys.executable, '-c', 'held = bytes(8 << 20)'])\n")
WAITING = PROGRAM + "print('ready', flush=True); sys.stdin.read()\n"


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class DocumentsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.schema = read(os.path.join(FILES, "tools/base/documents.schema.json"))
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = cls.temporary.name
        shutil.copy(os.path.join(FILES, "tools/taskmem_command"), cls.path("taskmem"))
        shutil.copy(os.path.join(FILES, "shim/libtaskmem.so"), cls.path("libtaskmem.so"))
        cls.environment = {key: value for key, value in os.environ.items()
                           if not key.startswith("TASKMEM_")}
        cls.environment["TASKMEM_STATS_DIR"] = cls.path("stats")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def taskmem(self, *arguments):
        done = subprocess.run([self.path("taskmem"), *arguments], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def start(self, *command, **environment):
        """A program that waits, and its process number; it ends with this test."""
        process = subprocess.Popen(command, env={**self.environment, **environment},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, timeout=60)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def assert_is(self, kind, document):
        """A document of this kind and of no other."""
        self.assertEqual(document["schema"], "taskmem-%s-1" % kind)
        chosen = {"$ref": "#/$defs/" + kind.replace("-", "_"), "$defs": self.schema["$defs"]}
        jsonschema.Draft202012Validator(chosen).validate(document)
        jsonschema.Draft202012Validator(self.schema).validate(document)

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_run(self):
        self.taskmem("run", "--quota", "64M", "--stats", self.path("stats.json"), "--audit",
                     self.path("audit.json"), "--", "/usr/bin/python3", "-c", PROGRAM)
        stats = read(self.path("stats.json"))
        self.assert_is("stats", stats)
        self.assertEqual(len(stats["children"]), 1)
        audit = read(self.path("audit.json"))
        self.assert_is("run-audit", audit)
        self.assertNotEqual(audit["peak"]["sites"], [])

    def test_a_recording(self):
        self.taskmem("run", "--quiet", "--quota", "24M", "--record", self.path("recording"), "--",
                     "/usr/bin/python3", "-c",
                     "held = []\ntry:\n  while True: held.append(b'x' * (8 << 20))\n"
                     "except MemoryError: pass\nimport time; time.sleep(0.5)")
        recording = json.loads(self.taskmem("report", self.path("recording"), "--json"))
        self.assert_is("recording", recording)
        self.assertTrue(recording["is_whole"])
        self.assertEqual([event["kind"] for event in recording["events"]
                          if event["kind"] == "refusal"], ["refusal"])
        self.assertNotEqual(recording["classes"], [])

    def test_run_of_what_leaves_no_books(self):
        self.taskmem("run", "--quiet", "--stats", self.path("none.json"), "--audit",
                     self.path("none-audit.json"), "--", "/bin/sh", "-c",
                     "exec env -i /bin/true")
        self.assert_is("stats", read(self.path("none.json")))
        self.assert_is("run-audit", read(self.path("none-audit.json")))

    def test_a_live_process(self):
        process = self.start("/usr/bin/python3", "-c", WAITING,
                             LD_PRELOAD=self.path("libtaskmem.so"))
        listed = json.loads(self.taskmem("ps", "--json"))
        self.assert_is("ps", listed)
        self.assertIn(process.pid, [entry["pid"] for entry in listed["processes"]])
        stats = json.loads(self.taskmem("stats", str(process.pid), "--json"))
        self.assert_is("stats", stats)
        self.assertIsNone(stats["process"]["end"])
        audit = json.loads(self.taskmem("audit", str(process.pid), "--json"))
        self.assert_is("audit", audit)
        # The same thing has the same name and value.
        self.assertEqual([task["task_id"] for task in stats["tasks"] if task["task_id"]],
                         [task["task_id"] for task in audit["tasks"] if task["task_id"]])
        by_module = self.taskmem("audit", str(process.pid), "--json", "--by", "module")
        self.assert_is("audit", json.loads(by_module))
        self.taskmem("audit", str(process.pid), "--json", "--output", self.path("one.json"))
        self.assert_is("audit", read(self.path("one.json")))

    def test_what_a_process_leaves_at_its_end(self):
        done = subprocess.run(
            ["/usr/bin/python3", "-c", "held = bytes(8 << 20)"], timeout=60,
            env={**self.environment, "LD_PRELOAD": self.path("libtaskmem.so"),
                 "TASKMEM_STATS": self.path("left-%l.json"), "TASKMEM_LABEL": "one",
                 "TASKMEM_AUDIT": self.path("left-audit-%l.json")})
        self.assertEqual(done.returncode, 0)
        stats = read(self.path("left-one.json"))
        self.assert_is("stats", stats)
        self.assertEqual(stats["process"]["label"], "one")
        self.assert_is("audit", read(self.path("left-audit-one.json")))

    def test_a_process_without_samples(self):
        process = self.start("/usr/bin/python3", "-c", WAITING, TASKMEM_SITES="off",
                             LD_PRELOAD=self.path("libtaskmem.so"))
        audit = json.loads(self.taskmem("audit", str(process.pid), "--json"))
        self.assert_is("audit", audit)
        self.assertIsNone(audit["sites_interval_bytes"])

    def test_a_killed_process(self):
        process = self.start("/usr/bin/python3", "-c", WAITING,
                             LD_PRELOAD=self.path("libtaskmem.so"))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        dead = json.loads(self.taskmem("ps", "--dead", "--json"))
        self.assert_is("ps", dead)
        self.assertIn((process.pid, "killed"),
                      [(entry["pid"], entry["end"]) for entry in dead["processes"]])
        stats = json.loads(self.taskmem("stats", str(process.pid), "--json"))
        self.assert_is("stats", stats)
        self.assertEqual(stats["process"]["end"], "killed")


if __name__ == "__main__":
    unittest.main()
