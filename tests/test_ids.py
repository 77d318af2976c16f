"""Identifiers are random, and look as their standards say."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from twisted.trial.unittest import SynchronousTestCase

from nnogw.ids import IdSource


class IdSourceTests(SynchronousTestCase):
    """Request ids and trace ids."""

    def test_a_request_id_is_a_uuid_of_version_4(self) -> None:
        """Of the right variant, in the usual spelling."""
        ids = IdSource()
        for _ in range(600):
            made = ids.request_id()
            self.assertEqual(str(UUID(made)), made)
            self.assertEqual((UUID(made).version, UUID(made).variant), (4, RFC_4122))

    def test_none_comes_twice(self) -> None:
        """Over several draws."""
        ids = IdSource()
        made = [ids.trace_id() for _ in range(1000)]
        self.assertEqual(len(set(made)), 1000)
        self.assertEqual({len(digits) for digits in made}, {32})

    def test_randomness_is_drawn_many_at_a_time(self) -> None:
        """One system call for 256 of them."""
        drawn: list[int] = []

        def draw(size: int) -> bytes:
            drawn.append(size)
            return bytes(size)

        ids = IdSource(draw)
        for _ in range(257):
            ids.request_id()
        self.assertEqual(drawn, [4096, 4096])
