"""Tells twistd of ``twistd nnogw``."""

from twisted.application.service import ServiceMaker

nnogw = ServiceMaker("nnogw", "nnogw.tap", "The NNO Gateway: an API gateway.", "nnogw")
