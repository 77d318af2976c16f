"""The wheel is whole: installed somewhere else, it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.gateway_process import environment

PROJECT = Path(__file__).resolve().parents[1]
_BUILT_FROM = ("nnogw", "twisted", "setup.py", "pyproject.toml", "README.md", "LICENSE")


class Wheel(SynchronousTestCase):
    """Built of a copy, without anything that lies about in the working tree."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        source = self.folder / "source"
        source.mkdir(parents=True)
        for name in _BUILT_FROM:
            path = PROJECT / name
            if path.is_dir():
                shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
            else:
                shutil.copy(path, source / name)
        self.run_python(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(self.folder / "dist"), str(source))
        (self.wheel,) = (self.folder / "dist").iterdir()

    def run_python(self, *command: str) -> str:
        """Run `command` in a folder of its own; returns its output."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment({"PYTHONPATH": ""}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_it_holds_the_plugin_and_nothing_of_twisteds_own(self) -> None:
        """An ``__init__.py`` there would overwrite Twisted's, and uninstalling would delete it. Tests stay at home."""
        with ZipFile(self.wheel) as wheel:
            names = set(wheel.namelist())
        self.assertIn("twisted/plugins/nnogw_plugin.py", names)
        self.assertEqual([name for name in names if name.startswith("twisted/")], ["twisted/plugins/nnogw_plugin.py"])
        self.assertIn("nnogw/py.typed", names)
        modules = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "nnogw").rglob("*.py")}
        self.assertEqual(modules - names, set())
        self.assertFalse([name for name in names if name.startswith(("tests/", "docs/"))])

    def test_installed_it_starts_in_another_folder(self) -> None:
        """With what is installed here as its dependencies."""
        place = self.folder / "venv"
        venv.create(place, with_pip=False)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
        with ZipFile(self.wheel) as wheel:
            wheel.extractall(site)
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + os.linesep)  # behind the wheel's own packages
        python = str(place / "bin" / "python")
        self.assertIn(str(site), self.run_python(python, "-c", "import nnogw; print(nnogw.__file__)"))
        start = (python, "-c", "from twisted.scripts.twistd import run; run()", "nnogw")
        for option in ("--config", "--listen", "--admin", "--demo"):
            self.assertIn(option, self.run_python(*start, "--help"))
        self.assertTrue(self.run_python(*start, "--version").startswith("nnogw "))
