"""Who may know whom: lower layers know nothing of higher ones, and nobody but the command knows the global reactor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = Path(__file__).resolve().parents[1] / "nnogw"

#: Module (without ``nnogw.``), or a package for everything in it → its layer. The longest name that fits counts.
LAYERS = {
    "": 0,
    "bodies": 0,
    "errors": 0,
    "settings": 0,
    "fields": 0,
    "memo": 0,
    "ids": 0,
    "networks": 0,
    "arrival": 1,
    "exchange": 1,
    "credentials": 1,
    "patterns": 1,
    "routes": 1,
    "headers": 1,
    "hops": 1,
    "interfaces": 2,
    "wire.transport": 3,
    "wire": 4,
    "observability": 4,
    "limiting": 4,
    "upstream": 5,
    "identity": 5,
    "middleware": 6,
    "pipeline": 7,
    "resource": 8,
    "admin": 8,
    "loading": 9,
    "demo": 9,
    "lifecycle": 9,
    "usage_errors": 9,
    "tap": 10,
}
_REACTOR = "twisted.internet.reactor"


def layer_of(module: str) -> int:
    """Return the layer of a module such as ``"wire.headers"``."""
    while module not in LAYERS:
        module = module.rpartition(".")[0]
    return LAYERS[module]


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything that `source` imports, wherever it does; what is only for types does not count."""
    tree = ast.parse(source)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def violations(module: str, source: str, path: str = "<source>") -> list[str]:
    """Return what `module` imports and must not: the place, the import, and the rule."""
    found = []
    for line, name in imports(source):
        rule = broken_rule(module, name)
        if rule:
            found.append(f"{path}:{line} imports {name}: {rule}")
    return found


def broken_rule(module: str, name: str) -> str:
    """Return the rule that `module` breaks by importing `name`; empty if none."""
    if name.startswith("."):
        return "imports give the full name"
    if name.startswith(_REACTOR):
        return "" if module == "tap" else "only tap knows the global reactor"
    if not name.startswith("nnogw."):
        return ""
    imported = name.removeprefix("nnogw.")
    own, other = layer_of(module), layer_of(imported)
    if own == other == LAYERS["middleware"]:
        return "middlewares do not know one another"
    if other > own:
        return f"{module} is of layer {own}, this is of layer {other}, and only lower layers may be known"
    if own == LAYERS["middleware"] and other > LAYERS["interfaces"]:
        return "a middleware's collaborators come in by its constructor"
    return ""


def modules() -> dict[str, Path]:
    """Return the package's modules, but for what only gives a folder its name."""
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("[!_]*.py")}


def modules_of(source: str) -> Iterator[str]:
    """Yield the package's modules that `source` imports, also for types alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("nnogw"):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def reached(imported: dict[str, set[str]], start: str) -> set[str]:
    """Return every module to which the imports of `start` lead."""
    found: set[str] = set()
    left = [start]
    while left:
        further = imported.get(left.pop(), set()) - found
        found |= further
        left += further
    return found


class Layers(SynchronousTestCase):
    """The table of docs/architecture.rst, read from the imports."""

    def test_every_module_keeps_to_its_layer(self) -> None:
        """And every one of them is in the table."""
        found = []
        for path in sorted(PACKAGE.rglob("*.py")):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
            self.assertTrue(not module or module.partition(".")[0] in LAYERS, f"{module} is in no layer")
            found += violations(module, path.read_text(encoding="utf-8"), path.relative_to(PACKAGE.parent).as_posix())
        self.assertEqual(found, [], "\n".join(found))

    def test_no_module_leads_back_to_itself(self) -> None:
        """Neither by what it imports, nor by what it imports for types alone."""
        imported = {module: set(modules_of(path.read_text(encoding="utf-8"))) for module, path in modules().items()}
        circles = [module for module in imported if module in reached(imported, module)]
        self.assertEqual(circles, [])

    def test_a_circle_is_found(self) -> None:
        """However long it is."""
        circle = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
        self.assertEqual([module for module in circle if module in reached(circle, module)], ["a", "b", "c"])

    def test_a_violation_is_found(self) -> None:
        """Of each rule; types alone are none."""
        for module, source in (
            ("wire.http1.server", "from nnogw.middleware.auth import Auth"),
            ("errors", "from nnogw import resource"),
            ("lifecycle.service", "from twisted.internet import reactor"),
            ("upstream.pool", "def f():\n    import twisted.internet.reactor"),
            ("middleware.auth", "from nnogw.middleware.cors import Cors"),
            ("middleware.auth", "from nnogw.wire.site import GatewaySite"),
            ("identity.iam", "import nnogw.middleware.auth"),
            ("identity.iam", "from ..middleware import auth"),
        ):
            self.assertEqual(len(violations(module, source)), 1, source)
        for module, source in (
            ("tap", "from twisted.internet import reactor"),
            ("middleware.proxy", "from nnogw.headers import via"),
            ("middleware.proxy", "from nnogw import headers"),
            ("observability.stats", "from nnogw import __version__"),
            ("exchange", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nnogw.interfaces import Body"),
        ):
            self.assertEqual(violations(module, source), [], source)

    def test_it_says_where_and_why(self) -> None:
        """In one line that can be acted upon."""
        (line,) = violations("upstream.pool", "import os\nfrom nnogw.pipeline import chain\n", "nnogw/upstream/pool.py")
        self.assertEqual(
            line,
            "nnogw/upstream/pool.py:2 imports nnogw.pipeline.chain: "
            "upstream.pool is of layer 5, this is of layer 7, and only lower layers may be known",
        )
