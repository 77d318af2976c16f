"""Where requests are counted: the stores behind `nnogw.interfaces.RateLimitStore`."""
