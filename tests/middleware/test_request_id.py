"""Every request has an id that is fit to be logged."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from nnogw.ids import IdSource
from nnogw.middleware.request_id import RequestId
from tests.doubles import Further, exchange, values


class RequestIdTests(SynchronousTestCase):
    """The client's own, or a new one."""

    def identified(self, *given: bytes) -> str:
        """Return the id that a request gets."""
        request, further = exchange(fields=[(b"X-Request-Id", value) for value in given]), Further()
        self.assertIs(RequestId(IdSource())(request, further), further.waiting)
        self.assertEqual(values(request), {b"X-Request-Id": request.request_id.encode()})
        return request.request_id

    def test_a_good_one_is_taken(self) -> None:
        """Up to 255 characters."""
        for given in (b"a", b"Az09_=-", b"a" * 255):
            self.assertEqual(self.identified(given), given.decode())

    def test_any_other_is_replaced_by_a_uuid(self) -> None:
        """Too long, empty, of other characters, or doubled."""
        for given in ([], [b""], [b"a" * 256], [b"a b"], [b"a\nb"], [b"a\n"], [b'"'], ["é".encode()], [b"a", b"a"]):
            self.assertEqual(UUID(self.identified(*given)).version, 4)
