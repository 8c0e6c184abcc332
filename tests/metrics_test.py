#!/usr/bin/python3
"""`taskmem metrics`: what it serves and writes is what the books say, promtool finds nothing wrong with
it, and Debian's Prometheus scrapes it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

FILES = os.path.join(os.environ["TEST_SRCDIR"], "taskmem")
PATIENCE = 60
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def await_true(check, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("in vain: " + what)


def get(url, accept=None):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def samples(text):
    """{(name, labels as they stand): value}"""
    return {match.group(1): float(match.group(2))
            for match in re.finditer(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


class MetricsTest(unittest.TestCase):

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        for name, file in (("taskmem", "tools/taskmem_command"), ("libtaskmem.so", "shim/libtaskmem.so")):
            shutil.copy(os.path.join(FILES, file), self.path(name))
        self.environment = {**os.environ, "TASKMEM_STATS_DIR": self.path("stats")}
        self.environment.pop("LD_PRELOAD", None)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, command, **more):
        process = subprocess.Popen(command, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_program(self, how="allocates"):
        process = self.start([os.path.join(FILES, "tests/programs/requests/requests_come"), how],
                             LD_PRELOAD=self.path("libtaskmem.so"))
        self.assertIn(b"ready", process.stdout.readline())
        return process

    def serve(self, *options):
        process = self.start([self.path("taskmem"), "metrics", "--listen", "127.0.0.1:0", *options])
        line = process.stderr.readline().decode()
        return process, re.fullmatch(r"taskmem: metrics on (http://\S+)\n", line)[1]

    def run_command(self, *arguments):
        return subprocess.run([self.path("taskmem"), "metrics", *arguments], env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE, check=False)

    def test_what_is_served_is_what_the_books_say(self):
        program = self.start_program()
        server, url = self.serve()
        text, content_type = get(url)
        self.assertTrue(content_type.startswith("text/plain; version=0.0.4"), content_type)
        process = '{pid="%d",program="requests_come",label=""' % program.pid
        found = samples(text)
        self.assertEqual(found["taskmem_processes"], 1)
        task = '{program="requests_come",task="asked"}'
        self.assertGreaterEqual(found["taskmem_task_charged_bytes" + task], 20 << 20)
        self.assertEqual(found["taskmem_task_live" + task], 1)
        self.assertGreater(found["taskmem_task_quota_ratio" + task], 0.3)
        self.assertGreater(found["taskmem_process_resident_bytes" + process + "}"], 0)
        self.assertGreater(found["taskmem_pool_used_bytes" + process + ',pool="execution"}'], 20 << 20)
        text, content_type = get(url, OPEN_METRICS)
        self.assertTrue(content_type.startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(text.endswith("# EOF\n"))
        self.assertIn("# TYPE taskmem_task_refusals counter\n", text)
        self.assertIn("\ntaskmem_task_refusals_total" + task, text)
        # A quota that refuses is seen, and what was counted stays when the process ends.
        subprocess.run([self.path("taskmem"), "set", str(program.pid), "--task", "7", "--quota", "21M",
                        "--wait", "60s"], env=self.environment, check=True, stdout=subprocess.DEVNULL)
        name = "taskmem_task_refusals_total" + task
        refused = await_true(lambda: samples(get(url)[0])[name], name)
        program.kill()
        program.wait()
        left = await_true(lambda: "taskmem_processes 0\n" in (text := get(url)[0]) and samples(text),
                          "the process has gone")
        self.assertGreaterEqual(left[name], refused)
        self.assertEqual(left["taskmem_task_live" + task], 0)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(timeout=PATIENCE), 0)

    def test_other_pages_and_methods(self):
        _, url = self.serve()
        self.assertIn("/metrics", get(url.replace("/metrics", "/"))[0])
        for bad, status in ((url + "x", 404), (url.replace("/metrics", "/../etc/passwd"), 404)):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                get(bad)
            self.assertEqual(caught.exception.code, status)
            caught.exception.close()
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, data=b"x" * 100000, timeout=PATIENCE)
        self.assertEqual(caught.exception.code, 405)
        caught.exception.close()
        # Who talks no HTTP disturbs nobody.
        address = urllib.parse.urlparse(url)
        for noise in (b"", b"\0" * 5000, b"GET /metrics HTTP/1.1\r\nAccept: " + b"a" * 100000):
            with socket.create_connection((address.hostname, address.port)) as connection:
                try:
                    connection.sendall(noise)
                except OSError:
                    pass
        self.assertIn("taskmem_build_info", get(url)[0])

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool")
    def test_promtool_finds_nothing(self):
        self.start_program()
        done = self.run_command("--textfile", self.path("taskmem.prom"))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("taskmem.prom"), "rb") as file:
            done = subprocess.run(["promtool", "check", "metrics"], stdin=file, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    @unittest.skipUnless(shutil.which("prometheus"), "there is no Prometheus")
    def test_prometheus_scrapes_it(self):
        self.start_program()
        _, url = self.serve()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with open(self.path("prometheus.yml"), "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: taskmem\n"
                       "  static_configs:\n  - targets: ['%s']\n" % urllib.parse.urlparse(url).netloc)
        self.start(["prometheus", "--config.file=" + self.path("prometheus.yml"),
                    "--storage.tsdb.path=" + self.path("data"), "--log.level=error",
                    "--web.listen-address=127.0.0.1:%d" % port])

        def query(text):
            try:
                answer = get("http://127.0.0.1:%d/api/v1/query?query=%s" %
                             (port, urllib.parse.quote(text)))[0]
            except OSError:
                return []
            return json.loads(answer)["data"]["result"]

        found = await_true(lambda: query('taskmem_task_charged_bytes{task="asked"}'), "a scrape")
        self.assertEqual(found[0]["metric"]["program"], "requests_come")
        self.assertGreaterEqual(float(found[0]["value"][1]), 20 << 20)
        self.assertEqual(query('up{job="taskmem"}')[0]["value"][1], "1")
        # Each query of the dashboard is one, and those that have to have an answer.
        with open(os.path.join(FILES, "tools/metrics/grafana.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = (target["expr"].replace("$instance", ".*").replace("$program", ".*")
                              .replace("$__rate_interval", "1m"))
                done = subprocess.run(["promtool", "query", "instant", "http://127.0.0.1:%d" % port,
                                       expression], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      check=False) if shutil.which("promtool") else None
                if done:
                    self.assertEqual(done.returncode, 0, "%s: %s" % (expression, done.stdout))
        self.assertTrue(query(dashboard["panels"][0]["targets"][0]["expr"].replace("$instance", ".*")))

    def test_every_metric_of_the_dashboard_exists(self):
        self.start_program()
        _, url = self.serve()
        text = get(url)[0]
        with open(os.path.join(FILES, "tools/metrics/grafana.json"), encoding="utf-8") as file:
            for name in set(re.findall(r"taskmem_[a-z_]+", file.read())):
                if name != "taskmem":
                    self.assertRegex(text, r"(?m)^%s[ {]" % name)

    def test_a_file_for_node_exporter(self):
        self.start_program()
        file = self.path("taskmem.prom")
        done = self.run_command("--textfile", file)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        first = os.stat(file).st_ino
        writer = self.start([self.path("taskmem"), "metrics", "--textfile", file, "--interval", "100ms"])
        # Each time another file takes its place: who reads one reads it whole.
        await_true(lambda: os.stat(file).st_ino != first, "another file")
        with open(file, encoding="utf-8") as text:
            self.assertIn('taskmem_task_live{program="requests_come",task="asked"} 1\n', text.read())
        writer.send_signal(signal.SIGTERM)
        self.assertEqual(writer.wait(timeout=PATIENCE), 0)

    def test_who_dawdles_keeps_nobody_out(self):
        _, url = self.serve()
        port = urllib.parse.urlsplit(url).port
        dawdlers = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(100)]
        for dawdler in dawdlers:
            self.addCleanup(dawdler.close)
            dawdler.send(b"GET /metrics HTTP/1.1\r\nX: ")

        def is_served():
            for dawdler in dawdlers:
                try:
                    dawdler.send(b"x", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                except OSError:
                    pass  # it has been closed
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    return answer.read()
            except OSError:
                return None

        self.assertIn(b"taskmem", await_true(is_served, "an answer for who asks"))

    def test_bad_input_is_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            for arguments, status, text in (
                    (["--listen", "x"], 2, "--listen"),
                    (["--listen", "127.0.0.1"], 2, "--listen"),
                    (["--listen", "127.0.0.1:99999"], 2, "--listen"),
                    (["--listen", "no.such.host:80"], 2, "--listen"),
                    (["--listen", "\033[2J:80"], 2, "--listen"),
                    (["--listen", "127.0.0.1:%d" % taken.getsockname()[1]], 1, "cannot listen"),
                    (["--listen", "203.0.113.1:80"], 1, "cannot listen"),
                    (["--textfile", "/no/such/folder/x"], 2, "/no/such/folder/x"),
                    (["--textfile", "x", "--listen", "1"], 2, "not both"),
                    (["--textfile", "x", "--interval", "0"], 2, "--interval"),
                    (["--textfile", "x", "--interval", "often"], 2, "--interval"),
                    (["--interval", "5s"], 2, "--textfile"),
                    (["--names", "-1"], 2, "--names"),
                    (["--names", "many"], 2, "--names"),
                    (["--names", "10001"], 2, "--names"),
                    (["--no-such"], 2, "--no-such"),
                    (["more"], 2, "more")):
                done = self.run_command(*arguments)
                self.assertEqual(done.returncode, status, (arguments, done.stderr))
                self.assertEqual(done.stdout, b"", arguments)
                self.assertEqual(done.stderr.count(b"\n"), 1, (arguments, done.stderr))
                self.assertIn(text.encode(), done.stderr, arguments)
                self.assertNotIn(b"\033", done.stderr, arguments)
        # A full disk.
        done = self.run_command("--textfile", "/dev/full")
        self.assertEqual(done.returncode, 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
