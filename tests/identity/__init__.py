"""Tests of nnogw.identity."""
