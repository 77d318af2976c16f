"""Tests of nnogw.limiting."""
