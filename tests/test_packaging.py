"""The wheel is whole: installed somewhere else, it starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

from nnogw import __version__
from tests.integration.gateway_process import environment

PROJECT = Path(__file__).resolve().parents[1]
_BUILT_FROM = ("nnogw", "twisted", "setup.py", "pyproject.toml", "README.md", "LICENSE")
_TWISTD = "from twisted.scripts.twistd import run; run()"


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
        """Run `command` in a folder of its own, where nothing of the working tree can be found; returns its output."""
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
        self.assertEqual([name for name in names if name.startswith("twisted/")], ["twisted/plugins/nnogw_plugin.py"])
        self.assertIn("nnogw/py.typed", names)
        modules = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "nnogw").rglob("*.py")}
        self.assertEqual(modules - names, set())
        self.assertEqual({name.partition("/")[0] for name in names}, {"nnogw", "twisted", f"nnogw-{__version__}.dist-info"})

    def test_installed_it_starts_in_another_folder(self) -> None:
        """With what is installed here as its dependencies."""
        place = self.folder / "venv"
        venv.create(place, with_pip=False)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
        with ZipFile(self.wheel) as wheel:
            wheel.extractall(site)
        # Behind the wheel's own packages; an editable nnogw there does not count, for its .pth file is not read.
        (site / "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
        python = str(place / "bin" / "python")
        found = self.run_python(python, "-c", "import nnogw; print(nnogw.__file__)")
        self.assertEqual(found.strip(), str(site / "nnogw" / "__init__.py"))
        text = self.run_python(python, "-c", _TWISTD, "nnogw", "--help")
        for option in ("--config", "--listen", "--admin", "--demo", "--version", "--help"):
            self.assertIn(option, text)
        self.assertEqual(self.run_python(python, "-c", _TWISTD, "nnogw", "--version"), f"nnogw {__version__}\n")


class Dependencies(SynchronousTestCase):
    """What setup.py asks for."""

    def test_the_oldest_versions_allowed_are_the_ones_tested(self) -> None:
        """Each lower bound stands in requirements/oldest.txt, and nothing else does."""
        asked_for = (PROJECT / "setup.py").read_text(encoding="utf-8").partition("install_requires=[")[2].partition("\n    ],")[0]
        allowed = {bound.replace(">=", "==") for bound in re.findall(r"""["']([\w\[\]-]+>=.*?)["'],""", asked_for)}
        tested = (PROJECT / "requirements" / "oldest.txt").read_text(encoding="utf-8").splitlines()
        self.assertIn("attrs==23.2.0", allowed)
        self.assertEqual({line for line in tested if not line.startswith("#")}, allowed)
