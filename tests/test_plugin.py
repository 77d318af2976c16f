"""twistd knows nnogw."""

from __future__ import annotations

from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import nnogw.tap

PROJECT = Path(__file__).resolve().parents[1]


class Plugin(SynchronousTestCase):
    """What twistd lists among its commands."""

    def test_twistd_finds_one_command_of_this_name(self) -> None:
        """With a line that says what it is."""
        (found,) = (plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "nnogw")
        self.assertIn("gateway", found.description)

    def test_it_leads_to_the_options_and_the_service(self) -> None:
        """Of nnogw.tap, which is imported only when the command is chosen."""
        (found,) = (plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "nnogw")
        self.assertIs(found.options, nnogw.tap.Options)
        self.assertIs(found.makeService, nnogw.tap.makeService)

    def test_nothing_makes_a_package_of_twisteds_folders(self) -> None:
        """An ``__init__.py`` there would end up over Twisted's own, and hide every other plugin."""
        self.assertEqual([path.name for path in (PROJECT / "twisted").rglob("*.py")], ["nnogw_plugin.py"])
