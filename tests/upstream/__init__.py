"""Tests of services: from a binding or URL to answers."""
