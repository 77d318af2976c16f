"""Tests of `nnogw.wire.transport`."""
