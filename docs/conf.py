"""How Sphinx makes the documentation."""

import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

PROJECT = Path(__file__).resolve().parents[1]

project = "nnogw"
author = "the nnogw authors"
version = release = re.search(r'__version__ = "([^"]+)"', (PROJECT / "nnogw" / "__init__.py").read_text(encoding="utf-8"))[1]
extensions = ["myst_parser"]  # for the changelog, which towncrier writes in Markdown
exclude_patterns = ["_build"]
html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_show_copyright = False  # there is no such line to show; Sphinx would leave "Copyright ©" with nothing behind it
html_title = f"nnogw {release}"
html_static_path = ["_static"]
html_css_files = ["nnogw.css"]

_RELEASES = "<!-- towncrier release notes start -->"  # everything behind it is towncrier's
_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> None:
    """Register what this documentation adds to Sphinx."""
    app.connect("source-read", _write_changelog)
    app.connect("doctree-resolved", _warn_of_empty_boxes)


def _write_changelog(_: Sphinx, page: str, source: list[str]) -> None:
    """Append the changes to the changelog's page: first those that the news fragments announce, then those of each release."""
    if page != "changelog":
        return
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, announced = re.split(r"^# .+\n", draft, maxsplit=1, flags=re.MULTILINE)  # the title has a version and a date
    released = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8").partition(_RELEASES)[2]
    for title, text in (("Not yet released", announced), ("", released)):
        if text.strip():
            source[0] += f"\n## {title}\n" * bool(title) + re.sub("^#", "##", text, flags=re.MULTILINE)


def _warn_of_empty_boxes(_: Sphinx, document: nodes.document, __: str) -> None:
    """Warn of table cells and code blocks without a text, which readers take for a mistake; with ``-W``, the build fails."""
    for kind in (nodes.entry, nodes.literal_block):
        for box in document.findall(kind):
            if not box.astext().strip():
                _log.warning("a box without a text (%s)", kind.__name__, location=box)
