"""Every request has a trace id."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.ids import IdSource
from nnogw.middleware.tracing import Tracing
from tests.doubles import Further, exchange, values

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = f"00-{_TRACE}-00f067aa0ba902b7-01".encode()


class TracingTests(SynchronousTestCase):
    """The client's own, that of its traceparent, or a new one."""

    def traced(self, *fields: tuple[bytes, bytes]) -> str:
        """Return the id that a request gets."""
        request, further = exchange(fields=fields), Further()
        self.assertIs(Tracing(IdSource())(request, further), further.waiting)
        self.assertEqual(values(request), {b"X-Nno-Trace-Id": request.trace_id.encode()})
        return request.trace_id

    def test_a_good_one_is_taken(self) -> None:
        """Even where there is a traceparent."""
        for given in (b"a", b"Az09_-", b"a" * 128):
            self.assertEqual(self.traced((b"X-Nno-Trace-Id", given), (b"traceparent", _PARENT)), given.decode())

    def test_where_only_a_traceparent_comes_its_trace_id_is_taken(self) -> None:
        """Of later versions too, which may say more."""
        self.assertEqual(self.traced((b"traceparent", _PARENT)), _TRACE)
        self.assertEqual(self.traced((b"traceparent", _PARENT.replace(b"00-", b"01-", 1) + b"-more")), _TRACE)
        self.assertEqual(self.traced((b"X-Nno-Trace-Id", b"not good!"), (b"traceparent", _PARENT)), _TRACE)

    def test_any_other_is_replaced(self) -> None:
        """By 32 new hexadecimal digits."""
        zeros = b"0" * 32
        for fields in (
            [],
            [(b"X-Nno-Trace-Id", b"a" * 129)],
            [(b"X-Nno-Trace-Id", b"a=b")],
            [(b"X-Nno-Trace-Id", b"a"), (b"X-Nno-Trace-Id", b"a")],
            [(b"traceparent", b"garbage")],
            [(b"traceparent", b"00-%b-00f067aa0ba902b7-01" % zeros)],
            [(b"traceparent", b"ff" + _PARENT[2:])],
            [(b"traceparent", _PARENT), (b"traceparent", _PARENT)],
        ):
            self.assertRegex(self.traced(*fields), "^[0-9a-f]{32}$")
