"""The steps that a request goes through, one a file. Their order stands in `nnogw.pipeline`."""
