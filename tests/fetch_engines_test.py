#!/usr/bin/python3
"""tools/fetch_engines says that all engines are there only where they are: wheels of nothing, from a
folder instead of a package index."""

import hashlib
import os
import pathlib
import subprocess
import tempfile
import unittest
import zipfile

SCRIPT = pathlib.Path("tools/fetch_engines").resolve()
NAMES = ("duckdb", "polars", "polars-runtime-32", "pyarrow")


class FetchEngines(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.index = self.root / "index"
        self.engines = self.root / "engines"
        self.script = self.root / "tools" / "fetch_engines"
        self.list = self.root / "tests" / "engines" / "wheels.txt"
        for place in (self.index, self.script.parent, self.list.parent):
            place.mkdir(parents=True)
        self.script.write_bytes(SCRIPT.read_bytes())
        self.script.chmod(0o755)

    def wheel(self, name, version):
        """Makes one, and returns its line of the list."""
        base = name.replace("-", "_")
        path = self.index / f"{base}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as file:
            about = f"{base}-{version}.dist-info/"
            file.writestr(f"{base}/version", version)
            file.writestr(about + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            file.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(about + "RECORD", "")
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    def fetch(self):
        """Returns what it says."""
        environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        done = subprocess.run(
            [self.script, self.engines], env=environment, stderr=subprocess.PIPE, text=True, check=True
        )
        return done.stderr

    def versions(self):
        """None: the stamp is not there, which says that they are."""
        if not (self.engines / "wanted").exists():
            return None
        return {(self.engines / "modules" / name.replace("-", "_") / "version").read_text() for name in NAMES}

    def test_says_that_they_are_there_only_where_they_are(self):
        first = "".join(self.wheel(name, "1.0") for name in NAMES)
        self.list.write_text(first)
        self.assertIn("fetching engines", self.fetch())
        self.assertEqual(self.versions(), {"1.0"})
        self.assertEqual(self.fetch(), "")

        # Another list, of which one cannot be had.
        second = "".join(self.wheel(name, "2.0") for name in NAMES)
        missing = self.index / "pyarrow-2.0-py3-none-any.whl"
        content = missing.read_bytes()
        missing.unlink()
        self.list.write_text(second)
        self.assertIn("no engines", self.fetch())
        self.assertIsNone(self.versions())
        self.assertFalse((self.engines / "modules").exists())
        missing.write_bytes(content)
        self.fetch()
        self.assertEqual(self.versions(), {"2.0"})

        # Who was stopped before the end leaves no stamp: what lies there is not all.
        (self.engines / "wanted").unlink()
        (self.engines / "modules" / "duckdb" / "version").unlink()
        self.assertEqual(len(self.fetch().splitlines()), 1)
        self.assertEqual(self.versions(), {"2.0"})


if __name__ == "__main__":
    unittest.main()
