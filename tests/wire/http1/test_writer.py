"""Answers on the wire: framed by the book, and nothing added that nobody asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import Field, HeaderFields, field
from tests.wire.client_connection import GET, ClientConnection, Root, wait

LENGTH = field(b"Content-Length", b"4")
OLD = b"GET /x HTTP/1.0\r\n"


def told(
    request: bytes = GET, status: int = 200, reason: bytes | None = None, fields: list[Field] | None = None, body: bytes = b"body"
) -> tuple[bytes, list[bytes], bytes, bool]:
    """Answer `request` and return the status line, the header lines but ``Date``, the body, and whether the connection was closed."""
    client = ClientConnection(Root(wait)).send(request)
    (made,) = client.root.requests
    if made.begin(status, reason, fields or []):
        made.write(body)
    made.finish()
    head, _, rest = client.received.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    return line, [item for item in lines if not item.startswith(b"Date: ")], rest, client.closed


class Framing(SynchronousTestCase):
    """RFC 9112 §6."""

    def test_an_answer_with_a_length_is_sent_as_it_is(self) -> None:
        """With nothing added but ``Date``."""
        self.assertEqual(told(fields=[LENGTH]), (b"HTTP/1.1 200 OK", [b"Content-Length: 4"], b"body", False))

    def test_an_answer_without_a_length_is_chunked(self) -> None:
        """The connection is kept."""
        self.assertEqual(told(), (b"HTTP/1.1 200 OK", [b"Transfer-Encoding: chunked"], b"4\r\nbody\r\n0\r\n\r\n", False))

    def test_a_204_has_no_length(self) -> None:
        """Whatever the upstream has said of one (RFC 9110 §8.6); a 304 may have it."""
        self.assertEqual(told(status=204, fields=[LENGTH], body=b""), (b"HTTP/1.1 204 No Content", [], b"", False))
        self.assertEqual(told(status=304, fields=[LENGTH], body=b"")[1], [b"Content-Length: 4"])

    def test_early_hints_come_before_the_answer(self) -> None:
        """Not behind its head, and not to HTTP/1.0, which knows no interim responses (RFC 9110 §15.2)."""
        for request, hinted in ((GET, True), (OLD + b"\r\n", False)):
            client = ClientConnection(Root(wait)).send(request)
            (made,) = client.root.requests
            made.hint(HeaderFields([(b"Link", b"</a.css>; rel=preload"), (b"Keep-Alive", b"timeout=5")]))
            made.begin(200, None, [LENGTH])
            made.hint(HeaderFields([(b"Link", b"late")]))
            head = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
            self.assertEqual(client.received.startswith(head + b"HTTP/1.1 200 OK\r\n"), hinted)
            self.assertEqual(client.received.count(b"Link"), int(hinted))

    def test_early_hints_have_no_length(self) -> None:
        """RFC 9110 §8.6: no interim response may have one; a client might wait for that body."""
        client = ClientConnection(Root(wait)).send(GET)
        client.root.requests[0].hint(HeaderFields([(b"Content-Length", b"4"), (b"Link", b"</a.css>")]))
        self.assertEqual(client.received, b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")

    def test_a_client_that_takes_nothing_gets_no_early_hints(self) -> None:
        """They may be left out, and an upstream may send any number: nothing bounds what would wait."""
        client = ClientConnection(Root(wait)).send(GET)
        (made,) = client.root.requests
        client.stall()
        made.hint(HeaderFields([(b"Link", b"</a.css>")]))
        client.catch_up()
        self.assertEqual(client.received, b"")
        made.hint(HeaderFields([(b"Link", b"</b.css>")]))
        self.assertIn(b"</b.css>", client.received)

    def test_an_empty_write_does_not_end_a_chunked_answer(self) -> None:
        """An empty chunk would."""
        self.assertEqual(told(body=b"")[2], b"0\r\n\r\n")

    def test_an_answer_without_a_length_ends_http_1_0_with_its_connection(self) -> None:
        """Whatever the client asked for: it does not know chunks."""
        for request in (OLD + b"\r\n", OLD + b"Connection: keep-alive\r\n\r\n"):
            self.assertEqual(told(request), (b"HTTP/1.1 200 OK", [b"Connection: close"], b"body", True))

    def test_an_http_1_0_connection_is_kept_where_the_client_asks_for_it(self) -> None:
        """And is told so (RFC 9112 §9.3); else it is closed."""
        self.assertEqual(
            told(OLD + b"Connection: keep-alive\r\n\r\n", fields=[LENGTH])[1:],
            ([b"Content-Length: 4", b"Connection: keep-alive"], b"body", False),
        )
        self.assertEqual(told(OLD + b"\r\n", fields=[LENGTH])[1:], ([b"Content-Length: 4", b"Connection: close"], b"body", True))

    def test_an_http_1_1_connection_is_closed_where_the_client_asks_for_it(self) -> None:
        """And is told so."""
        request = GET[:-2] + b"Connection: close\r\n\r\n"
        self.assertEqual(told(request, fields=[LENGTH])[1:], ([b"Content-Length: 4", b"Connection: close"], b"body", True))

    def test_head_has_no_body_and_keeps_the_length_of_one(self) -> None:
        """Without a length nothing is said of one; in HTTP/1.0 neither, and the connection is kept."""
        head = GET.replace(b"GET", b"HEAD")
        self.assertEqual(told(head, fields=[LENGTH])[1:], ([b"Content-Length: 4"], b"", False))
        self.assertEqual(told(head)[1:], ([], b"", False))
        old = b"HEAD /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        self.assertEqual(told(old)[1:], ([b"Connection: keep-alive"], b"", False))

    def test_204_and_304_have_no_body(self) -> None:
        """A 304 may say the length of what it does not send."""
        self.assertEqual(told(status=204), (b"HTTP/1.1 204 No Content", [], b"", False))
        self.assertEqual(told(status=304, fields=[LENGTH])[1:], ([b"Content-Length: 4"], b"", False))

    def test_a_whole_body_goes_with_its_head(self) -> None:
        """And with its length, unless the fields say it; where none may follow, it stays behind."""
        for fields in ([], [LENGTH]):
            for request, body in ((GET, b"body"), (GET.replace(b"GET", b"HEAD"), b"")):
                client = ClientConnection(Root(wait)).send(request)
                (made,) = client.root.requests
                made.begin(200, None, fields, b"body")
                made.finish()
                self.assertEqual(client.received.count(b"Content-Length: 4\r\n"), 1)
                self.assertEqual((client.received.partition(b"\r\n\r\n")[2], made.bytes_out), (body, len(body)))

    def test_the_bytes_of_a_body_are_counted(self) -> None:
        """Without their framing."""
        client = ClientConnection(Root(wait)).send(GET)
        request = client.root.requests[0]
        request.begin(200, None, [])
        request.write(b"four")
        request.write(b"more")
        self.assertEqual(request.bytes_out, 8)


class Heads(SynchronousTestCase):
    """What is passed on as it came."""

    def test_the_reason_phrase_is_kept(self) -> None:
        """An empty one, too."""
        self.assertEqual(told(status=200, reason=b"Fine")[0], b"HTTP/1.1 200 Fine")
        self.assertEqual(told(status=200, reason=b"")[0], b"HTTP/1.1 200 ")

    def test_order_spelling_and_repetition_of_fields_are_kept(self) -> None:
        """Several cookies are not one."""
        fields = [field(b"set-cookie", b"a=1"), field(b"X-y", b"z"), field(b"Set-Cookie", b"b=2"), LENGTH]
        self.assertEqual(told(fields=fields)[1], [b"set-cookie: a=1", b"X-y: z", b"Set-Cookie: b=2", b"Content-Length: 4"])

    def test_a_date_is_added_once(self) -> None:
        """Only where the upstream has none."""
        for fields in ([], [field(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]):
            client = ClientConnection(Root(wait)).send(GET)
            client.root.requests[0].begin(200, None, fields)
            self.assertEqual(client.received.lower().count(b"\r\ndate: "), 1)
        self.assertIn(b"\r\ndate: Thu, 01 Jan 1970", client.received)

    def test_no_server_and_no_content_type_are_added(self) -> None:
        """The answer is not the gateway's."""
        lines = told()[1]
        self.assertFalse([line for line in lines if line.lower().startswith((b"server", b"content-type"))])

    def test_an_answer_ends_once(self) -> None:
        """Whoever says so again."""
        client = ClientConnection(Root(wait)).send(GET)
        request = client.root.requests[0]
        request.begin(200, None, [])
        request.finish()
        request.finish()
        self.assertEqual(client.received.count(b"0\r\n\r\n"), 1)
        self.assertEqual(client.root.ends, [""])
