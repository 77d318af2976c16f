"""nnogw: the NNO Gateway, an event-driven API gateway on Twisted."""

__version__ = "1.0.0"
