"""Tests of `nnogw.lifecycle`."""
