"""What is measured, the backend behind it, and how each is started: configurations are the templates in ``peers/``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import frozen
from load import PREFIX
from processes import CONTENDER_CORE, LOAD_CORE, first_answer, free_port, output_of, running

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
HOME = Path(os.environ.get("NNOGW_BENCH_HOME") or Path.home() / ".cache/nnogw-bench")

_PLATFORM = {"name": "Acme", "slug": "acme", "status": "active", "tier": "growth", "createdAt": "2026-03-30T00:00:00Z"}
ANSWER = json.dumps(
    {"data": [{"id": platform, **_PLATFORM} for platform in ("k3m9p2xw7q", "k3m9p2xw7r")], "pagination": {"hasMore": False, "total": 2}}
)
_SESSION = json.dumps({"userId": "user_1", "role": "admin", "platformId": "k3m9p2xw7q", "platformStatus": "active"})


@frozen
class Backend:
    """The services and IAM, which every contender talks to."""

    services: int  # port
    iam: int  # port


@frozen
class Running:
    """A contender that answers."""

    pid: int
    port: int


Command = list[str]
#: Makes a contender's configuration in a folder, for a port, and returns the command that runs it.
Preparation = Callable[[Path, int, Backend], Command]


@contextlib.contextmanager
def backend(folder: Path) -> Iterator[Backend]:
    """Run the backend."""
    ports = Backend(free_port(), free_port())
    (folder / "www").mkdir(parents=True)
    (folder / "www/mid.bin").write_bytes(os.urandom(64 << 10))
    (folder / "www/big.bin").write_bytes(os.urandom(10 << 20))
    values = {"folder": folder, "services": ports.services, "iam": ports.iam, "answer": ANSWER, "session": _SESSION}
    configuration = _filled(HERE / "backend.conf", folder, values)
    with running(_nginx_command(configuration), LOAD_CORE, folder / "output") as process:
        first_answer(process, ports.services, "/")
        yield ports


@contextlib.contextmanager
def contender(name: str, folder: Path, behind: Backend, *, extra: str = "") -> Iterator[Running]:
    """Run a contender on its core.

    Args:
        name: one of `CONTENDERS`.
        folder: its own, which need not be there.
        behind: the backend.
        extra: what the gateway's configuration file has besides.

    Raises:
        RuntimeError: it does not come up, or does not pass the backend's answer on.
    """
    with starting(name, folder, behind, extra=extra) as (process, port):
        body = first_answer(process, port, f"{PREFIX}/abc")
        if body.decode() != ANSWER:
            raise RuntimeError(f"{name} answered something else: {body[:200]!r}")
        yield Running(process.pid, port)


@contextlib.contextmanager
def starting(name: str, folder: Path, behind: Backend, *, extra: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a contender, as `contender` does, without waiting for it; the context is its process and its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = CONTENDERS[name](folder, port, behind)
    if extra:
        with (folder / "gateway.toml").open("a") as file:
            file.write(extra)
    with running(command, CONTENDER_CORE, folder / "output", {"AUTH_API_KEY": "bench-service-key"}) as process:
        yield process, port


def versions() -> dict[str, str]:
    """Return the version of every contender, as far as it can be had without asking a network."""
    found = {"gateway": f"Python {sys.version.split()[0]}"}
    with contextlib.suppress(OSError):
        modules = HOME / "node/node_modules"
        packages = {name: json.loads((modules / name / "package.json").read_text())["version"] for name in ("workerd", "hono")}
        found["workerd"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        statement = "import aiohttp, uvloop; print('aiohttp', aiohttp.__version__ + ', uvloop', uvloop.__version__)"
        found["aiohttp"] = output_of([str(HOME / "py/bin/python"), "-c", statement]).strip()
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        found["nginx"] = output_of(["sh", "-c", "nginx -v 2>&1"]).strip().removeprefix("nginx version: ")
    return found


def _gateway(folder: Path, port: int, behind: Backend) -> Command:
    configuration = _filled(PEERS / "gateway.toml", folder, {**_ports(port, behind), "folder": folder})
    return [tool(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "nnogw", "--config", str(configuration)]


def _workerd(folder: Path, port: int, behind: Backend) -> Command:
    modules = HOME / "node/node_modules"
    bundle = ["--bundle", "--format=esm", f"--outfile={folder / 'worker.js'}", "--log-level=error"]
    output_of([tool(modules / ".bin/esbuild"), str(PEERS / "worker.mjs"), *bundle], environment={"NODE_PATH": str(modules)})
    return [tool(modules / ".bin/workerd"), "serve", str(_filled(PEERS / "workerd.capnp", folder, _ports(port, behind)))]


def _aiohttp(_: Path, port: int, behind: Backend) -> Command:
    return [tool(HOME / "py/bin/python"), str(PEERS / "aiohttp_bare.py"), str(port), f"http://127.0.0.1:{behind.services}"]


def _nginx(folder: Path, port: int, behind: Backend) -> Command:
    return _nginx_command(_filled(PEERS / "nginx.conf", folder, _ports(port, behind)))


#: Every contender; the first is what the others are compared with.
CONTENDERS: Mapping[str, Preparation] = {"gateway": _gateway, "workerd": _workerd, "aiohttp": _aiohttp, "nginx": _nginx}


def tool(path: Path) -> str:
    """Return the path of a program that has to be there."""
    if not path.exists():
        raise SystemExit(f"{path} is not there: run bench/setup, and this with a Python that has nnogw")
    return str(path)


def _ports(port: int, behind: Backend) -> dict[str, object]:
    return {"port": port, "services": behind.services, "iam": behind.iam}


def _nginx_command(configuration: Path) -> Command:
    nginx = Path(shutil.which("nginx") or "/usr/sbin/nginx")
    return [tool(nginx), "-p", f"{configuration.parent}/", "-e", "error.log", "-c", str(configuration)]


def _filled(template: Path, folder: Path, values: Mapping[str, object]) -> Path:
    """Write `template` to `folder`, every ``@name@`` in it replaced, and return where it is."""
    target = folder / template.name
    target.write_text(re.sub(r"@(\w+)@", lambda name: str(values[name[1]]), template.read_text()))
    return target
