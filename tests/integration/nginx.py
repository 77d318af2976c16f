"""nginx, as users have it behind their gateway."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.integration.sockets import until
from tests.programs import program


class Nginx:
    """A running nginx, which listens on a unix socket and serves a folder; it is stopped when the test is over.

    Args:
        test: the test that it serves.

    Attributes:
        binding: the client endpoint string that leads to it.
        folder: what it serves.
    """

    def __init__(self, test: TestCase) -> None:
        self._test = test
        self._folder = Path("/tmp") / f"nnogw-nginx-{os.getpid()}-{id(self):x}"  # a socket's path must be short
        self.folder = self._folder / "www"
        self.folder.mkdir(parents=True)
        self._socket = self._folder / "socket"
        self.binding = f"unix:{self._socket}"
        self._process: Any = None
        self._ended = False
        test.addCleanup(shutil.rmtree, self._folder, ignore_errors=True)
        test.addCleanup(self.stop)

    async def start(self) -> None:
        """Start it, and return when it listens."""
        configuration = self._folder / "nginx.conf"
        temporary = "\n".join(f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration.write_text(
            f"""
            worker_processes 1; daemon off; master_process off; pid {self._folder}/pid; error_log {self._folder}/error.log;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; types {{ text/html html; text/event-stream events; }} default_type application/octet-stream;
                {temporary}
                gzip on; gzip_proxied any; gzip_min_length 1; gzip_types *;
                server {{
                    listen unix:{self._socket};
                    root {self.folder};
                    location = /moved {{ return 301 http://elsewhere.example/; }}
                    location / {{ }}
                }}
            }}
            """
        )
        self._socket.unlink(missing_ok=True)
        self._ended = False
        nginx = str(program("nginx"))
        self._process = reactor.spawnProcess(
            _Output(self), nginx, [nginx, "-e", "stderr", "-c", str(configuration)], {"PATH": os.environ["PATH"]}
        )
        await until(self._socket.exists, "nginx's socket")

    async def stop(self) -> None:
        """Stop it; its connections are closed."""
        if self._process is not None and not self._ended:
            self._process.signalProcess(signal.SIGTERM)
            await until(lambda: self._ended, "the end of nginx")

    def ended(self) -> None:
        """Take note that the process is gone."""
        self._ended = True


class _Output(ProcessProtocol):
    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx

    def processEnded(self, reason: Failure) -> None:
        self._nginx.ended()
