"""Configurations for tests: a file's text, variables and options in, settings or problems out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnogw.loading import ConfigurationError, load
from nnogw.settings import Settings

FILE = "nnogw.toml"  # as which the file appears in problems


def loaded(toml: str = "", environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Return the settings of a file with the text `toml`, of variables and of `load`'s options."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, FILE)
        path.write_text(toml, encoding="utf-8")
        return load(str(path), environ or {}, **options)


def problems(toml: str = "", environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    """Return the lines with which the same is refused, without the file's directory; none if it is good."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, FILE)
        path.write_text(toml, encoding="utf-8")
        try:
            load(str(path), environ or {}, **options)
        except ConfigurationError as error:
            return str(error).replace(f"{directory}/", "").splitlines()
        return []
