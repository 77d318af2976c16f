"""What was refused further out turns back here."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest
from nnogw.middleware.refusal import refusal
from tests.doubles import Further, exchange


class RefusalTests(SynchronousTestCase):
    """Raised, or let through."""

    def test_a_refused_request_goes_no_further(self) -> None:
        """It fails with what was found wrong."""
        request, further = exchange(), Further()
        request.refusal = BadRequest(reason="no Host")
        self.assertIs(self.assertRaises(BadRequest, refusal, request, further), request.refusal)
        self.assertEqual(further.calls, 0)

    def test_any_other_goes_on(self) -> None:
        """Untouched."""
        further = Further()
        self.assertIs(refusal(exchange(), further), further.waiting)
