"""The settings of a gateway before the demo platform."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.settings import demo_settings
from nnogw.settings import (
    SERVICE_NAMES,
    AuthSettings,
    CorsSettings,
    RateLimitRule,
    RateLimitSettings,
    ServerSettings,
    ServiceSettings,
    Settings,
)

URLS = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(SERVICE_NAMES, 5001)}


class DemoSettingsTests(SynchronousTestCase):
    """The demo changes what it has to, and nothing else."""

    def test_every_service_leads_to_the_demo_platform(self) -> None:
        """A binding would win over the URL, so there is none; other options of a service stay."""
        base = Settings(services={"cli": ServiceSettings(binding="unix:/run/cli.sock", preserve_host=True)})
        services = demo_settings(base, URLS).services
        self.assertEqual({name: service.url for name, service in services.items()}, URLS)
        self.assertEqual([service.binding for service in services.values()], [""] * len(URLS))
        self.assertTrue(services["cli"].preserve_host)

    def test_a_service_that_the_demo_does_not_have_stays(self) -> None:
        """Someone may show a service of their own beside the demo's."""
        mine = ServiceSettings(url="http://127.0.0.1:9")
        self.assertIs(demo_settings(Settings(services={"mine": mine}), URLS).services["mine"], mine)

    def test_the_demos_service_key_is_the_only_one(self) -> None:
        """A real key has no business in a demo."""
        auth = demo_settings(Settings(auth=AuthSettings(api_key=("real",), api_key_file="/etc/key", timeout=1)), URLS).auth
        self.assertEqual(auth, AuthSettings(api_key=("demo-service-key",), timeout=1))

    def test_a_rate_limit_and_an_origin_are_added(self) -> None:
        """Those that were there stay."""
        mine = RateLimitRule("/api/v1/iam", 7)
        base = Settings(rate_limit=RateLimitSettings(rules=(mine,)), cors=CorsSettings(origins=("https://mine.example",)))
        settings = demo_settings(base, URLS)
        self.assertEqual(settings.rate_limit.rules[1:], (mine,))
        self.assertEqual((settings.rate_limit.rules[0].prefix, settings.rate_limit.rules[0].limit), ("/api/v1/cli", 5))
        self.assertEqual(settings.cors.origins, ("https://mine.example", "http://localhost:3000"))

    def test_everything_else_stays_as_it_was(self) -> None:
        """Where to listen, above all."""
        base = Settings(server=ServerSettings(listen=("unix:/run/nnogw.sock",)))
        settings = demo_settings(base, URLS)
        changed = {"services": base.services, "auth": base.auth, "rate_limit": base.rate_limit, "cors": base.cors}
        self.assertEqual(evolve(settings, **changed), base)
