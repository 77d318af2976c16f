"""wrk: as much load as a gateway takes, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from tests.programs import program


@frozen
class Load:
    """What a run of wrk came to.

    Attributes:
        requests: how many were answered.
        failures: responses that were not 2xx or 3xx, and errors of connections, in wrk's words; empty if there were none.
    """

    requests: int
    failures: str


def wrk(url: str, *, connections: int, seconds: float, fields: Sequence[str] = ()) -> Deferred[Load]:
    """Keep connections busy with requests.

    Args:
        url: what is asked for.
        connections: how many are kept busy.
        seconds: for how long; wrk counts whole ones.
        fields: header fields, ``"Name: value"``.
    """
    arguments = ["-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s"]
    arguments += [part for field in fields for part in ("-H", field)]
    return getProcessOutputAndValue(str(program("wrk")), [*arguments, url]).addCallback(_parsed)


def _parsed(outcome: tuple[bytes, bytes, int]) -> Load:
    out, err, exit_status = outcome
    text = (out + err).decode()
    found = re.search(r"(\d+) requests in", text)
    assert found is not None, text
    assert exit_status == 0, text
    return Load(int(found[1]), ", ".join(re.findall(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)))
