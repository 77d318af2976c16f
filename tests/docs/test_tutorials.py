"""Whoever follows the tutorial, or sets up the example of an IAM, sees what the pages print."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.docs.pages import blocks, read, shows
from tests.docs.terminal import Terminal, wait_for_listeners
from tests.integration.gateway_process import GatewayProcess, free_port
from tests.programs import program

_PORT = re.compile(r"\b(?:8787|9787|900\d)\b")
_GATEWAY = "twistd "  # the command that stays in the foreground
_BEFORE = ("installation", "activation")  # the environment that runs the tests stands for these
_DEMO = ("the demo, first terminal", "the demo, second terminal")


class WalkTests(SynchronousTestCase):
    """A page is followed to the letter, but for the ports."""

    def setUp(self) -> None:
        program("curl")
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def walk(self, page: str) -> tuple[dict[str, Terminal], int]:
        """Follow the page of this name; returns the terminals, and how many commands showed what is printed."""
        source = read(page)
        ports = {int(port): free_port() for port in sorted(set(_PORT.findall(source)))}
        terminals: dict[str, Terminal] = {}
        shown = 0
        for block in blocks(source, ports):
            if block.language in ("python", "toml"):
                (self.folder / block.caption).write_text(block.text, encoding="utf-8")
            elif block.caption not in (*_BEFORE, *_DEMO):
                terminal = terminals.setdefault(block.caption, Terminal(self, self.folder))
                for command, printed in block.commands:
                    if command.startswith(_GATEWAY):
                        terminal.type(command)
                        text = "".join(path.read_text() for path in self.folder.iterdir()) + "".join(c for c, _ in _typed(source, ports))
                        wait_for_listeners((port for port in ports.values() if str(port) in text), terminal)
                        continue
                    output = terminal.run(command)
                    self.assertTrue(shows(printed, output), f"{command}\nprinted: {printed}\nshown: {output}\n{_screens(terminals)}")
                    shown += bool(printed)
        return terminals, shown

    def test_the_tutorial_works_as_printed(self) -> None:
        """Two services of the reader's own, a gateway in front of them, and requests that show what they are promised to."""
        terminals, shown = self.walk("tutorial.rst")
        self.assertEqual(set(terminals), {"first terminal", "second terminal"})
        self.assertGreaterEqual(shown, 7)
        self.assertIn('"path":"/api/v1/orders/42"', terminals["first terminal"].screen)  # the request log is there, as is said

    def test_the_example_of_an_iam_and_a_registry_works_as_printed(self) -> None:
        """A session, an API key, a token that nobody knows, and a platform that is suspended; with the service of the tutorial."""
        hello = next(block for block in blocks(read("tutorial.rst")) if block.caption == "hello.py")
        (self.folder / "hello.py").write_text(hello.text, encoding="utf-8")
        _, shown = self.walk("iam.rst")
        self.assertGreaterEqual(shown, 4)

    def test_the_example_of_an_iam_is_short(self) -> None:
        """About thirty lines that do something: nobody should have to read more to see what is asked for."""
        example = next(block for block in blocks(read("iam.rst")) if block.caption == "identity.py")
        self.assertLess(len([line for line in example.text.splitlines() if line.strip()]), 40)


class DemoTests(TestCase):
    """The tutorial begins with the demo."""

    async def test_the_demo_shows_what_the_tutorial_prints(self) -> None:
        """``make demo`` starts this, on ports that are fixed."""
        program("curl")
        gateway = GatewayProcess(self, arguments=["--demo"])
        await gateway.start()
        start, try_it = (b for b in blocks(read("tutorial.rst"), {8787: gateway.port, 9787: gateway.admin_port}) if b.caption in _DEMO)
        self.assertEqual(start.commands, [("make demo", "")])
        folder = Path(self.mktemp())
        folder.mkdir()
        terminal = Terminal(self, folder)
        self.assertGreater(len(try_it.commands), 0)
        for command, printed in try_it.commands:
            output = terminal.run(command)
            self.assertIn("X-Nno-User-Id", printed)
            self.assertTrue(shows(printed, output), f"{command}\nprinted: {printed}\nshown: {output}")


def _typed(source: str, ports: dict[int, int]) -> list[tuple[str, str]]:
    return [pair for block in blocks(source, ports) if block.language == "console" for pair in block.commands]


def _screens(terminals: dict[str, Terminal]) -> str:
    return "\n".join(f"--- {name}\n{terminal.screen}" for name, terminal in terminals.items())
