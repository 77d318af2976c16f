"""How Sphinx makes the documentation."""

import re
from pathlib import Path

project = "nnogw"
author = "the nnogw authors"
version = release = re.search(r'__version__ = "([^"]+)"', (Path(__file__).parents[1] / "nnogw" / "__init__.py").read_text())[1]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "An API gateway on Twisted", "fixed_sidebar": True}
