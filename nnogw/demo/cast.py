"""Who there is on the demo platform: the credentials that its IAM knows, and the platforms that its registry knows.

All of it is made up and printed for everybody to see; none of it opens anything but the demo.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Person:
    """A user of the demo platform, and the platform that the user belongs to."""

    user_id: str
    role: str
    platform_id: str


SERVICE_KEY = "demo-service-key"
SESSION = "demo-session"
SUSPENDED_SESSION = "demo-suspended"  # a good session, of a platform that is suspended
OUTAGE_SESSION = "demo-outage"  # IAM fails whenever it is asked for this one
API_KEY = "nno_demo_key"
ORIGIN = "http://localhost:3000"  # where a web application under development usually stands

SESSIONS = {
    SESSION: Person("user-ada", "admin", "platform-acme"),
    SUSPENDED_SESSION: Person("user-grace", "member", "platform-closed"),
}
API_KEYS = {API_KEY: Person("user-build", "deployer", "platform-acme")}
PLATFORMS = {
    "platform-acme": ("Acme", "active"),
    "platform-closed": ("Closed for now", "suspended"),
}
