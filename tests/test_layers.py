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
    "errors": 0,
    "settings": 0,
    "fields": 0,
    "ids": 0,
    "exchange": 1,
    "credentials": 1,
    "routes": 1,
    "wire.headers": 1,
    "interfaces": 2,
    "wire": 3,
    "upstream": 3,
    "identity": 3,
    "limiting": 3,
    "observability": 3,
    "middleware": 4,
    "pipeline": 5,
    "resource": 6,
    "admin": 6,
    "loading": 7,
    "demo": 7,
    "assembly": 7,
    "service": 7,
    "tap": 8,
}
_REACTOR = "twisted.internet.reactor"


def layer_of(module: str) -> int:
    """Return the layer of a module such as ``"wire.headers"``."""
    while module not in LAYERS:
        module = module.rpartition(".")[0]
    return LAYERS[module]


def imports(source: str) -> Iterator[str]:
    """Yield the full name of everything that `source` imports, wherever it does; what is only for types does not count."""
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
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(module: str, source: str) -> list[str]:
    """Return what `module` imports and must not, with the rule."""
    found = []
    for name in imports(source):
        if name.startswith(_REACTOR) and module != "tap":
            found.append(f"{module} imports {name}: only tap knows the global reactor")
        if not name.startswith("nnogw."):
            continue
        imported = name.removeprefix("nnogw.")
        if module.startswith("middleware.") and imported.startswith("middleware."):
            found.append(f"{module} imports {name}: middlewares do not know one another")
        elif layer_of(imported) > layer_of(module):
            found.append(f"{module} (layer {layer_of(module)}) imports {name} (layer {layer_of(imported)}): only lower layers may be known")
        elif module.startswith("middleware.") and layer_of(imported) == 3:
            found.append(f"{module} imports {name}: collaborators come in by the constructor")
    return found


class Layers(SynchronousTestCase):
    """The table of docs/architecture.rst, read from the imports."""

    def test_every_module_keeps_to_its_layer(self) -> None:
        """And every one of them is in the table."""
        found = []
        for path in sorted(PACKAGE.rglob("*.py")):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
            self.assertTrue(not module or module.partition(".")[0] in LAYERS, f"{module} is in no layer")
            found += violations(module, path.read_text())
        self.assertEqual(found, [])

    def test_a_violation_is_found(self) -> None:
        """Of each rule; types alone are none."""
        for module, source in (
            ("wire.server", "from nnogw.middleware.auth import Auth"),
            ("errors", "from nnogw import resource"),
            ("service", "from twisted.internet import reactor"),
            ("wire.pool", "def f():\n    import twisted.internet.reactor"),
            ("middleware.auth", "from nnogw.middleware.cors import Cors"),
            ("middleware.auth", "from nnogw.wire.server import GatewaySite"),
        ):
            self.assertEqual(len(violations(module, source)), 1, source)
        for module, source in (
            ("tap", "from twisted.internet import reactor"),
            ("middleware.proxy", "from nnogw.wire.headers import via"),
            ("exchange", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nnogw.interfaces import Body"),
        ):
            self.assertEqual(violations(module, source), [], source)
