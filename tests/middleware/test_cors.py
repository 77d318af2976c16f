"""Which pages may read the gateway's answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest, HeadersTooLarge, RefusedTarget, UriTooLong
from nnogw.exchange import Exchange, Response
from nnogw.middleware.cors import Cors
from nnogw.settings import CorsSettings
from tests.doubles import Further, exchange, values

_APP = b"https://app.example"
_SETTINGS = CorsSettings(origins=("https://app.example", "https://*.example.org", "http://localhost:3000"))


def allowed(origin: bytes, settings: CorsSettings = _SETTINGS) -> bytes | None:
    """Return the ``Access-Control-Allow-Origin`` that a request of a page of `origin` gets."""
    request = exchange(fields=[(b"Origin", origin)])
    Cors(settings)(request, Further())
    return values(request).get(b"Access-Control-Allow-Origin")


class Origins(SynchronousTestCase):
    """Who is let in."""

    def test_exact_origins_and_subdomains_are(self) -> None:
        """Each is told its own name."""
        for origin in (_APP, b"https://a.example.org", b"https://a.b.example.org", b"http://localhost:3000"):
            self.assertEqual(allowed(origin), origin)

    def test_all_others_are_not(self) -> None:
        """Neither null, nor other schemes, ports and names, nor names that only end alike."""
        for origin in (
            b"null",
            b"http://app.example",
            b"https://app.example:8443",
            b"https://app.example.evil",
            b"https://example.org",
            b"https://.example.org",
            b"https://evilexample.org",
            b"https://evil/.example.org",
            b"https://evil@a.example.org",
            b"http://a.example.org",
            b"",
        ):
            self.assertIsNone(allowed(origin), origin)

    def test_a_star_is_everybody_but_null_and_never_with_credentials(self) -> None:
        """Whatever the settings say."""
        everybody = CorsSettings(origins=("*",), credentials=True)
        self.assertEqual(allowed(b"https://any.where", everybody), b"*")
        self.assertIsNone(allowed(b"null", everybody))
        request = exchange(fields=[(b"Origin", _APP)])
        Cors(everybody)(request, Further())
        self.assertNotIn(b"Access-Control-Allow-Credentials", values(request))

    def test_credentials_are_allowed_if_set(self) -> None:
        """To the origins that are let in."""
        request = exchange(fields=[(b"Origin", _APP)])
        Cors(CorsSettings(origins=("https://app.example",), credentials=True))(request, Further())
        self.assertEqual(values(request)[b"Access-Control-Allow-Credentials"], b"true")

    def test_two_origins_are_none(self) -> None:
        """No browser sends that."""
        request = exchange(fields=[(b"Origin", _APP), (b"Origin", _APP)])
        Cors(_SETTINGS)(request, Further())
        self.assertEqual(values(request), {})

    def test_nobody_is_let_in_by_default(self) -> None:
        """Origins come from settings only."""
        self.assertIsNone(allowed(_APP, CorsSettings()))


class Answers(SynchronousTestCase):
    """What goes on, and what is answered here."""

    def preflight(self, origin: bytes, *more: tuple[bytes, bytes]) -> tuple[Response, Exchange]:
        """Return the answer to a preflight."""
        fields = [(b"Origin", origin), (b"Access-Control-Request-Method", b"PUT"), *more]
        request = exchange(b"OPTIONS", fields=fields)
        return self.successResultOf(Cors(_SETTINGS)(request, Further())), request

    def test_every_answer_varies_by_origin_and_names_what_may_be_read(self) -> None:
        """The headers are decided on before it goes on, so that errors have them."""
        for fields in ([], [(b"Origin", b"https://evil.example")], [(b"Origin", _APP)]):
            request, further = exchange(fields=fields), Further()
            self.assertIs(Cors(_SETTINGS)(request, further), further.waiting)
            self.assertEqual(request.response_additions, [(b"vary", b"Vary", b"Origin")])
        exposed = values(request)[b"Access-Control-Expose-Headers"].split(b", ")
        self.assertEqual(
            set(exposed), {b"X-Request-Id", b"X-Nno-Trace-Id", b"RateLimit", b"RateLimit-Policy", b"Retry-After", b"Server-Timing"}
        )

    def test_a_preflight_is_answered_here(self) -> None:
        """With what is allowed."""
        response, request = self.preflight(_APP)
        self.assertEqual(response.status, 204)
        self.assertEqual(
            {name: value for _, name, value in response.fields},
            {
                b"Access-Control-Allow-Origin": _APP,
                b"Access-Control-Allow-Methods": b"GET, HEAD, PUT, POST, DELETE, PATCH",
                b"Access-Control-Allow-Headers": b"Content-Type, Authorization, X-Request-Id",
                b"Access-Control-Max-Age": b"600",
            },
        )
        self.assertEqual(request.response_additions, [(b"vary", b"Vary", b"Origin")])

    def test_a_preflight_is_answered_here_although_its_path_is_refused(self) -> None:
        """Else the browser does not send the request, and the page never sees why it is refused."""
        for refusal in (RefusedTarget(reason="a dot segment in the path"), UriTooLong()):
            for origin, allowed_origin in ((_APP, _APP), (b"https://evil.example", None)):
                request = exchange(b"OPTIONS", fields=[(b"Origin", origin), (b"Access-Control-Request-Method", b"PUT")])
                request.refusal = refusal
                further = Further()
                response = self.successResultOf(Cors(_SETTINGS)(request, further))
                self.assertEqual((response.status, further.calls), (204, 0))
                told = {name: value for _, name, value in response.fields}
                self.assertEqual(told.get(b"Access-Control-Allow-Origin"), allowed_origin)

    def test_pages_may_send_and_read_what_the_settings_add(self) -> None:
        """Behind what they always may; a header is named once, whatever its case."""
        more = CorsSettings(
            origins=("https://app.example",),
            allow_headers=("X-Client-Version", "content-type", "*"),
            expose_headers=("ETag", "retry-after"),
        )
        preflight = exchange(b"OPTIONS", fields=[(b"Origin", _APP), (b"Access-Control-Request-Method", b"PUT")])
        told = {name: value for _, name, value in self.successResultOf(Cors(more)(preflight, Further())).fields}
        self.assertEqual(told[b"Access-Control-Allow-Headers"], b"Content-Type, Authorization, X-Request-Id, X-Client-Version, *")
        request = exchange(fields=[(b"Origin", _APP)])
        Cors(more)(request, Further())
        self.assertEqual(
            values(request)[b"Access-Control-Expose-Headers"],
            b"X-Request-Id, X-Nno-Trace-Id, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, ETag",
        )

    def test_a_refused_preflight_says_nothing_of_access(self) -> None:
        """It is a 204 all the same."""
        response, _ = self.preflight(b"https://evil.example")
        self.assertEqual((response.status, response.fields), (204, []))

    def test_any_other_options_goes_on(self) -> None:
        """Without an origin, without the method that is asked for, or itself malformed or over a limit."""
        for fields in ([(b"Access-Control-Request-Method", b"PUT")], [(b"Origin", _APP)]):
            further = Further()
            self.assertIs(Cors(_SETTINGS)(exchange(b"OPTIONS", fields=fields), further), further.waiting)
        for error in (BadRequest(), HeadersTooLarge()):
            refused, further = exchange(b"OPTIONS", fields=[(b"Origin", _APP), (b"Access-Control-Request-Method", b"PUT")]), Further()
            refused.refusal = error
            self.assertIs(Cors(_SETTINGS)(refused, further), further.waiting)
