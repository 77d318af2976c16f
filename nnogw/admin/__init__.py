"""The operator's side: metrics, status, and what can be done to a running gateway. Never on the public listener."""

from nnogw.admin.tree import build_admin

__all__ = ["build_admin"]
