"""Tests of nnogw.middleware."""
