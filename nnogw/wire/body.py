"""The body of a message that comes in: a request's from its client, a response's from its upstream."""

from __future__ import annotations

from typing import Protocol


class Connection(Protocol):
    """What a body needs of the connection that it comes on."""

    def resume_body(self) -> None:
        """Read the body: somebody takes it now, or takes it again."""

    def pause_body(self) -> None:
        """Stop reading the body until `resume_body`."""

    def stop_body(self) -> None:
        """Take note that nobody takes the rest of the body."""
