"""Tests of `nnogw.wire.http1`."""
