"""Connections: reading, writing, time limits, listening sockets. Nothing here knows HTTP."""
