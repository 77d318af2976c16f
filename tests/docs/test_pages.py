"""What the pages say of the gateway is what the gateway is: its codes, metrics, states, log lines and settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import orjson
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

import nnogw
from nnogw.errors import GatewayError
from nnogw.lifecycle.service import GatewayService
from nnogw.loading import Loaded
from nnogw.observability.request_log import format_line
from nnogw.settings import ServiceSettings, Settings
from tests.admin.operator import ask
from tests.docs.pages import DOCS, blocks, read
from tests.loading.configurations import loaded, problems
from tests.observability.exchanges import an_ended_exchange
from tests.test_configuration_page import options, sections

OPERATIONS = read("operations.rst")
_TERM_OF_A_METRIC = re.compile(r"^``(nnogw_\w+)(?:\{([\w,]+)\})?``, (?:counter|gauge|histogram)$", re.MULTILINE)
_SETTING = re.compile(r"``((?:[a-z_]+\.)+[a-z_]+|services\.NAME\.[a-z_]+)(?: = [^`]+)?``")
_SVG = "{http://www.w3.org/2000/svg}"
_TOML = re.compile(r"^ *\.\. code-block:: toml\n(?: +:.*\n)*\n((?: +.*\n|\n)+)", re.MULTILINE)


def part(page: str, title: str, end: str = r"\n\n\S.*\n(?:=|-)+\n") -> str:
    """Return what stands below the title of a section."""
    body = page.partition(f"\n{title}\n")[2]
    assert body, f"no section {title}"
    return re.split(end, body, maxsplit=1)[0]


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in the source, with the name of what is called."""
    for path in sorted(Path(nnogw.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                yield getattr(function, "attr", getattr(function, "id", "")), node


def text(node: ast.expr | None) -> str:
    """Return a string of the source; empty for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


class ArchitectureTests(SynchronousTestCase):
    """Whoever looks for a file finds what it is for."""

    def test_every_part_of_the_package_is_in_the_table_and_nothing_else(self) -> None:
        """Files and folders, each once."""
        package = Path(nnogw.__file__).parent
        parts = [path.name for path in package.glob("[!_]*.py")] + [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
        rows = re.findall(r"^   \* - (``.+``)$", part(read("architecture.rst"), "The parts\n---------"), re.MULTILINE)
        self.assertEqual(sorted(re.findall(r"``(.+?)``", " ".join(rows))), sorted(parts))

    def test_every_file_that_the_page_names_exists(self) -> None:
        """In the package, or in the source tree."""
        named = re.findall(r"``([\w/]+/\w+\.py)``", read("architecture.rst"))
        package = Path(nnogw.__file__).parent
        self.assertTrue(named)
        self.assertEqual([name for name in named if not any((root / name).is_file() for root in (package, package.parent))], [])

    def test_the_drawing_is_made_of_its_source(self) -> None:
        """With the same texts and the same lines between them; ``make drawing`` makes it."""
        source = read("request.dot")
        labels = "\n".join(re.findall(r'label="(.*?)"', source)).replace(r"\n", "\n").split("\n")
        for table in re.findall(r"label=<(.*?)>\]", source, re.DOTALL):
            labels += [words.strip() for words in ElementTree.fromstring(table).itertext() if words.strip()]
        lines = []
        for line in re.findall(r"^[^/\n]*->.*$", source, re.MULTILINE):
            ends = re.findall(r"\w+(?::\w+)?", re.sub(r"\[.*\]|rank=same", "", line))
            lines += [f"{one}->{other}" for one, other in pairwise(ends)]
        drawing = ElementTree.parse(DOCS / "request.svg").getroot()
        self.assertGreater(len(labels), 30)
        self.assertEqual(sorted(labels), sorted("".join(element.itertext()) for element in drawing.iter(f"{_SVG}text")))
        self.assertGreater(len(lines), 10)
        self.assertEqual(sorted(lines), sorted(element.findtext(f"{_SVG}title", "") for element in drawing.iterfind(".//*[@class='edge']")))

    def test_the_drawing_has_the_steps_of_the_pipeline(self) -> None:
        """In their order; and each file that it names exists."""
        package = Path(nnogw.__file__).parent
        (returned,) = (
            node.value
            for function in ast.parse((package / "pipeline.py").read_text(encoding="utf-8")).body
            if isinstance(function, ast.FunctionDef) and function.name == "middlewares"
            for node in ast.walk(function)
            if isinstance(node, ast.Return)
        )
        assert isinstance(returned, ast.List)
        steps = [ast.unparse(step.func if isinstance(step, ast.Call) else step) for step in returned.elts]
        drawing = ElementTree.parse(DOCS / "request.svg").getroot()
        (box,) = (group for group in drawing.iterfind(".//*[@class='node']") if group.findtext(f"{_SVG}title") == "steps")
        self.assertEqual(["".join(element.itertext()) for element in box.iter(f"{_SVG}text")], ["pipeline.py", *steps])
        named = re.findall(r"[\w/]+\.py|\w+/(?=<)", (DOCS / "request.svg").read_text(encoding="utf-8"))
        self.assertGreater(len(named), 10)
        self.assertEqual([name for name in named if not (package / name).exists()], [])

    def test_the_drawing_is_not_wider_than_a_phone(self) -> None:
        """So that its text keeps its size there: 340 of the 360 pixels of a narrow one, of which a point has 4/3."""
        width = ElementTree.parse(DOCS / "request.svg").getroot().get("width", "")
        self.assertLessEqual(float(width.removesuffix("pt")) * 4 / 3, 340)


class ErrorCodeTests(SynchronousTestCase):
    """Whoever meets a code finds what it means: a front-end developer on one page, an operator on another."""

    def codes(self) -> set[str]:
        kinds, found = [GatewayError], set()
        while kinds:
            kind = kinds.pop()
            kinds += kind.__subclasses__()
            if kind.__module__.startswith("nnogw."):
                found.add(f"{kind.status} ``{kind.code}``")
        self.assertGreater(len(found), 14)
        return found

    def test_every_code_is_explained_to_front_end_developers(self) -> None:
        """With its status; and no code that does not exist."""
        described = re.findall(r"^(\d{3} ``[A-Z_]+``)$", part(read("front-end.rst"), "Error codes"), re.MULTILINE)
        self.assertEqual(len(described), len(set(described)))
        self.assertEqual(set(described), self.codes())

    def test_every_code_is_explained_to_operators(self) -> None:
        """Several of the same kind share an entry."""
        entries = re.findall(r"^\d{3} ``.+``$", part(OPERATIONS, "When something fails"), re.MULTILINE)
        self.assertEqual({code for entry in entries for code in re.findall(r"\d{3} ``[A-Z_]+``", entry)}, self.codes())


class MetricsTests(SynchronousTestCase):
    """Each metric has an entry of its own."""

    def test_every_metric_is_described(self) -> None:
        """As Prometheus gets it from a gateway with a service; and none that does not exist."""
        configuration = Loaded(Settings(services={**Settings().services, "billing": ServiceSettings(url="http://127.0.0.1:1")}))
        service = GatewayService(configuration, lambda: configuration, MemoryReactorClock())
        answer = ask(service._admin.resource, "GET", "/metrics")
        exposed = re.findall(r"^# TYPE (nnogw_\w+) (\w+)$", answer.body.decode(), re.MULTILINE)
        self.assertGreater(len(exposed), 15)
        described = [name for name, _ in _TERM_OF_A_METRIC.findall(OPERATIONS)]
        self.assertEqual(len(described), len(set(described)))
        self.assertEqual(set(described), {name for name, _ in exposed})

    def test_labels_are_named(self) -> None:
        """Those that the source gives to a family of metrics."""
        described = {name.removesuffix("_total"): labels for name, labels in _TERM_OF_A_METRIC.findall(OPERATIONS)}
        checked = 0
        for name, call in calls():
            labels = next((keyword.value for keyword in call.keywords if keyword.arg == "labels"), None)
            if name.endswith("MetricFamily") and isinstance(labels, ast.Tuple) and text(call.args[0]):
                self.assertEqual(described[text(call.args[0])], ",".join(text(label) for label in labels.elts), text(call.args[0]))
                checked += 1
        self.assertGreater(checked, 5)


class DegradedStateTests(SynchronousTestCase):
    """An operator who is told of a state finds it on the page."""

    def test_every_degraded_state_is_described(self) -> None:
        """Those that the source begins, by itself or as an outage; and none that does not exist."""
        named = {text(call.args[0]) for name, call in calls() if name in ("begin", "follow", "Outage") and call.args}
        states = {name for name in named if re.fullmatch(r"[a-z]+(?:-[a-z]+)+", name)}
        self.assertGreater(len(states), 4)
        self.assertEqual(set(re.findall(r"^``([a-z-]+)``$", part(OPERATIONS, "Degraded states"), re.MULTILINE)), states)


class RequestLogTests(SynchronousTestCase):
    """A line of the request log can be read with the page beside it."""

    def described(self) -> list[str]:
        table = OPERATIONS.partition("   * - Key\n     - Meaning\n")[2].partition("\n\n")[0]
        return [key for entry in re.findall(r"^   \* - (.+)$", table, re.MULTILINE) for key in re.findall(r"``(\w+)``", entry)]

    def test_every_key_is_described(self) -> None:
        """In the order of the line."""
        line = orjson.loads(format_line(an_ended_exchange(reason="why")))
        self.assertEqual(self.described(), list(line))

    def test_every_time_limit_is_named(self) -> None:
        """Those with which the source ends a request."""
        named = set(re.findall(r"``(timeout:\w+)``", OPERATIONS))
        ends = {
            node.value
            for _, call in calls()
            for node in ast.walk(call)
            if isinstance(node, ast.Constant) and re.fullmatch(r"timeout:\w+", str(node.value))
        }
        self.assertGreater(len(ends), 3)
        self.assertLessEqual(ends, named)


class SettingsTests(SynchronousTestCase):
    """What a page says of the configuration can be put into a file."""

    def test_every_setting_that_a_page_names_exists(self) -> None:
        """Under the table that it is said to be in."""
        known = {f"{title.strip('[]')}.{option}" for title, kind in sections(Settings) for option in options(kind)}
        known |= {f"services.{name}" for name in Settings().services}
        tables = {name.partition(".")[0] for name in known}
        named = 0
        for path in sorted(DOCS.glob("*.rst")):
            for setting in _SETTING.findall(path.read_text(encoding="utf-8")):
                if setting.partition(".")[0] in tables and not setting.endswith((".py", ".toml")):
                    self.assertTrue(setting in known or any(name.startswith(f"{setting}.") for name in known), f"{path.name}: {setting}")
                    named += 1
        self.assertGreater(named, 40)

    def test_every_configuration_on_a_page_is_a_good_one(self) -> None:
        """With a service key, as in production."""
        found = 0
        for path in sorted(DOCS.glob("*.rst")):
            for example in _TOML.findall(path.read_text(encoding="utf-8")):
                self.assertEqual(problems(dedent(example), {"AUTH_API_KEY": "0123456789abcdef"}), [], f"{path.name}: {example}")
                found += 1
        self.assertGreater(found, 15)


class SystemdTests(SynchronousTestCase):
    """The unit, the configuration and the rotation of logs are of one piece."""

    def setUp(self) -> None:
        self.files = {block.caption: block.text for block in blocks(OPERATIONS)}
        self.unit = self.files["/etc/systemd/system/nnogw.service"]
        self.config = loaded(self.files["/etc/nnogw/nnogw.toml"], {"AUTH_API_KEY": "0123456789abcdef"})

    def option(self, name: str) -> str:
        found = re.findall(rf"^{name}=(.*)$", self.unit, re.MULTILINE)
        self.assertEqual(len(found), 1, name)
        return str(found[0])

    def test_the_unit_starts_with_the_files_of_the_page(self) -> None:
        """The configuration, and the key that was made."""
        self.assertIn("twistd -n --pidfile= nnogw --config /etc/nnogw/nnogw.toml", self.option("ExecStart"))
        self.assertEqual(self.option("LoadCredential"), "AUTH_API_KEY:/etc/nnogw/keys")
        self.assertIn("openssl rand -hex 32 > /etc/nnogw/keys", OPERATIONS)

    def test_the_request_log_is_where_the_unit_lets_it_write_and_logrotate_looks(self) -> None:
        """One name in three files."""
        log = self.config.server.access_log
        self.assertEqual(log, f"/var/log/{self.option('LogsDirectory')}/access.log")
        rotation = self.files["/etc/logrotate.d/nnogw"]
        self.assertTrue(rotation.startswith(f"{log} {{\n"), rotation)
        self.assertIn("    postrotate\n        systemctl kill --signal=USR1 nnogw.service\n    endscript\n", rotation)

    def test_systemd_waits_for_the_drain(self) -> None:
        """It would kill what is still being served."""
        server = self.config.server
        self.assertGreater(float(self.option("TimeoutStopSec")), server.lame_duck + server.drain_timeout)

    def test_it_comes_back_and_waits_for_the_network(self) -> None:
        """Whatever has ended it."""
        self.assertEqual((self.option("Restart"), self.option("StartLimitIntervalSec"), self.option("Type")), ("always", "0", "exec"))
        self.assertEqual(self.option("Wants"), "network-online.target")
        self.assertIn("network-online.target", self.option("After"))
