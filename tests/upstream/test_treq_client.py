"""treq over the gateway's own connections."""

from __future__ import annotations

from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from nnogw.errors import ServiceUnavailable, UpstreamFailed
from nnogw.fields import field
from nnogw.upstream.treq_client import AbsentAgent, ProxyClient, UpstreamAgent
from tests.doubles import ScriptedBody
from tests.wire.upstream_connection import Upstreams

OK = b"HTTP/1.1 200 Fine\r\nContent-Length: 13\r\nSet-Cookie: a=1\r\n\r\n" + b'{"all": true}'


class Agents(SynchronousTestCase):
    """What treq uses."""

    def setUp(self) -> None:
        self.upstreams = Upstreams()
        self.service = self.upstreams.service("iam", b"iam:81", b"/base")
        agent = UpstreamAgent(self.service)
        verifyObject(IAgent, agent)
        self.client = HTTPClient(agent)

    def test_a_get_goes_to_the_service_and_its_answer_is_treqs(self) -> None:
        """Of the URL only path and query count."""
        asked = self.client.get("http://whatever/session?x=1", headers={b"X-A": [b"1", b"2"]})
        head = self.upstreams.line.received
        self.assertTrue(head.startswith(b"GET /base/session?x=1 HTTP/1.1\r\nHost: iam:81\r\n"), head)
        self.assertIn(b"\r\nX-A: 1\r\nX-A: 2\r\n", head)
        self.upstreams.line.answer(OK)
        response = self.successResultOf(asked)
        self.assertEqual((response.code, response.phrase, response.length), (200, b"Fine", 13))
        self.assertEqual(self.successResultOf(response.json()), {"all": True})

    def test_a_url_without_a_path_means_the_root(self) -> None:
        """As everywhere."""
        self.client.get("http://whatever")
        self.assertTrue(self.upstreams.line.received.startswith(b"GET /base/ HTTP/1.1\r\n"))

    def test_a_body_is_produced_as_treq_has_it(self) -> None:
        """Under its length."""
        self.client.post("http://iam/validate", json={"key": "nno_1"})
        head, _, body = self.upstreams.line.received.partition(b"\r\n\r\n")
        self.assertEqual(head.count(b"Content-Length: "), 1)
        self.assertIn(b"Content-Length: %d" % len(b'{"key":"nno_1"}'), head)
        self.assertTrue(b'{"key":"nno_1"}'.startswith(body))

    def test_a_body_that_can_be_produced_again_makes_its_request_repeatable(self) -> None:
        """Its kept connection was closed: it is sent once more. Other bodies are not."""

        class Producer:
            length = 2

            def startProducing(self, consumer: Any) -> Deferred[None]:
                consumer.write(b"{}")
                return succeed(None)

        class Repeatable(Producer):
            repeatable = True

        for producer, lines in ((Repeatable(), 2), (Producer(), 1)):
            upstreams = Upstreams()
            agent = UpstreamAgent(upstreams.service("iam", b"iam"))
            agent.request(b"GET", b"http://iam/")
            upstreams.line.answer(OK)
            asked = agent.request(b"POST", b"http://iam/validate", None, producer)
            upstreams.line.lose()
            self.assertEqual(len(upstreams.endpoint.lines), lines)
            if lines == 2:
                upstreams.line.answer(OK)
                self.assertTrue(upstreams.line.received.endswith(b"\r\nContent-Length: 2\r\n\r\n{}"))
                self.assertEqual(self.successResultOf(asked).code, 200)
            else:
                self.failureResultOf(asked, UpstreamFailed)

    def test_what_it_hands_out_is_an_iresponse(self) -> None:
        """Whose body can be delivered to a protocol; a broken one fails as treq expects."""
        asked = UpstreamAgent(self.service).request(b"GET", b"http://iam/")
        self.upstreams.line.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        response = self.successResultOf(asked)
        verifyObject(IResponse, response)
        response.setPreviousResponse(None)
        content = treq.content(response)
        self.upstreams.line.lose()
        self.failureResultOf(content, UpstreamFailed)

    def test_an_absent_service_fails_at_once(self) -> None:
        """With its name."""
        agent = AbsentAgent("iam")
        verifyObject(IAgent, agent)
        self.assertIn("iam", self.failureResultOf(agent.request(b"GET", b"/"), ServiceUnavailable).value.reason)


class Producers(SynchronousTestCase):
    """A Twisted body producer as a body."""

    def test_backpressure_reaches_it(self) -> None:
        """And its end."""

        class Producer:
            length = 4
            calls: list[str] = []  # noqa: RUF012  of this test only

            def startProducing(self, consumer: object) -> object:
                from twisted.internet.defer import Deferred

                self.consumer = consumer
                self.done: Deferred[None] = Deferred()
                return self.done

            def pauseProducing(self) -> None:
                self.calls.append("pause")

            def resumeProducing(self) -> None:
                self.calls.append("resume")

            def stopProducing(self) -> None:
                self.calls.append("stop")

        upstreams, producer = Upstreams(), Producer()
        asked = UpstreamAgent(upstreams.service("iam", b"iam")).request(b"POST", b"http://iam/", None, producer)
        producer.consumer.write(b"ab")
        upstreams.line.producer.pauseProducing()
        upstreams.line.producer.resumeProducing()
        producer.consumer.write(b"cd")
        producer.done.callback(None)
        self.assertTrue(upstreams.line.received.endswith(b"\r\nContent-Length: 4\r\n\r\nabcd"))
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual(producer.calls, ["pause", "resume"])

    def test_one_that_is_given_up_is_stopped(self) -> None:
        """And one that fails fails the request."""
        from io import BytesIO

        upstreams = Upstreams()
        stream = BytesIO(b"x" * 10)
        producer = FileBodyProducer(stream, cooperator=_Never())
        asked = UpstreamAgent(upstreams.service("iam", b"iam")).request(b"POST", b"http://iam/", None, producer)
        asked.cancel()
        self.failureResultOf(asked)
        self.assertTrue(stream.closed)


class ProxyClientTests(SynchronousTestCase):
    """What passes through is nobody's to change."""

    def test_it_sends_what_it_is_given_and_nothing_else(self) -> None:
        """No cookie of an earlier answer, no Accept-Encoding, no other spelling."""
        upstreams = Upstreams()
        client = ProxyClient(upstreams.service("billing", b"billing", b"/base", label="tcp:a:80", preserve_host=True))
        self.assertEqual(
            (client.name, client.address, client.preserve_host, client.forward_credentials), ("billing", "tcp:a:80", True, True)
        )
        for host in (None, b"api.example"):
            upstreams.line.clear() if upstreams.endpoint.lines else None
            answer = client.forward(b"GET", b"/a//%2F?b", [field(b"X-oDD", b"1")], None, host)
            self.assertEqual(
                upstreams.line.received, b"GET /base/a//%%2F?b HTTP/1.1\r\nHost: %b\r\nX-oDD: 1\r\n\r\n" % (host or b"billing")
            )
            upstreams.line.answer(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(self.successResultOf(answer).status, 302)

    def test_a_body_goes_along(self) -> None:
        """As it streams."""
        upstreams, body = Upstreams(), ScriptedBody(2)
        ProxyClient(upstreams.service("b", b"b")).forward(b"PUT", b"/", [], body, None)
        body.consumer.body_data(b"ok")
        self.assertTrue(upstreams.line.received.endswith(b"\r\nContent-Length: 2\r\n\r\nok"))


class _Never:
    """A cooperator whose work never begins."""

    def cooperate(self, work: object) -> _Never:
        return self

    def whenDone(self) -> object:
        from twisted.internet.defer import Deferred

        return Deferred()

    def stop(self) -> None:
        """Do nothing less."""
