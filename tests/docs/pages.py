"""What the documentation's pages print: files, and commands with what they show."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

DOCS = Path(__file__).resolve().parents[2] / "docs"

_BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n\1   :caption: (.+)\n\n((?:\1   .*\n|\n)+)", re.MULTILINE)


@frozen
class Block:
    """A code block with a caption: the name of a file, or where to type the commands."""

    language: str
    caption: str
    text: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands after ``$``, each with the output that is printed below it."""
        _, *parts = re.split(r"^\$ (.+)\n", self.text, flags=re.MULTILINE)
        return [(command, output.strip()) for command, output in zip(parts[::2], parts[1::2], strict=True)]


def read(name: str) -> str:
    """Return the source of the page `name`."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(page: str, ports: Mapping[int, int] | None = None) -> Iterator[Block]:
    """Yield the captioned code blocks of `page` (its source), in order.

    Args:
        page: reStructuredText.
        ports: port numbers as they are printed → those to use in their place.
    """
    for _, language, caption, text in _BLOCK.findall(page):
        for printed, used in (ports or {}).items():
            text = re.sub(rf"\b{printed}\b", str(used), text)
        yield Block(language, caption, textwrap.dedent(text).strip("\n") + "\n")


def shows(printed: str, output: str) -> bool:
    """Whether `output` is what is `printed`, where ``...`` stands for anything."""
    pieces = (re.escape(piece) for piece in printed.split("..."))
    return re.fullmatch(".*".join(pieces), output.replace("\r", "").strip(), re.DOTALL) is not None
