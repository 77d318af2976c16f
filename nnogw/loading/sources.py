"""What the file, the environment and the command line say, each laid over what goes behind it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from nnogw.loading.document import Document, shown_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: How the variables of services begin.
PREFIX = "NNO_"
#: service → the variables of its binding and of its URL
SERVICE_VARIABLES = {
    "iam": ("NNO_IAM", "NNO_IAM_URL"),
    "registry": ("NNO_REGISTRY", "NNO_REGISTRY_URL"),
    "billing": ("NNO_BILLING", "NNO_BILLING_URL"),
    "provisioning": ("NNO_PROVISIONING", "NNO_PROVISIONING_URL"),
    "stack-registry": ("NNO_STACK_REGISTRY", "NNO_STACK_REGISTRY_URL"),
    "cli": ("NNO_CLI", "NNO_CLI_SERVICE_URL"),
}


def read_file(document: Document, path: str) -> None:
    """Read the TOML file at `path` into `document`."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        document.values = tomllib.loads(content.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
        return
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (line {error.object[: error.start].count(10) + 1})"
    except RecursionError:
        problem = "is not valid TOML: nested too deeply"
    except ValueError as error:  # TOMLDecodeError, and numbers that are too long for int()
        problem = f"is not valid TOML: {error}"
    document.problems.append(f"{shown_path(path)}: {problem}")
    document.complete = False


def read_environment(document: Document, environ: Mapping[str, str]) -> None:
    """Lay the environment over the file; an empty variable counts as not set."""
    for service, variables in SERVICE_VARIABLES.items():
        for variable, option in zip(variables, ("binding", "url"), strict=True):
            if environ.get(variable):
                document.put(("services", service, option), environ[variable], variable)
    if environ.get("RATE_LIMITER"):
        document.put(("rate_limit", "store"), environ["RATE_LIMITER"], "RATE_LIMITER")
    origins = [origin.strip() for origin in environ.get("CORS_ORIGINS", "").split(",") if origin.strip()]
    if origins:
        document.put(("cors", "origins"), origins, "CORS_ORIGINS")


def read_options(document: Document, listen: Sequence[str], admin: str | None) -> None:
    """Lay the command line's options over everything else."""
    if listen:
        document.put(("server", "listen"), [*listen], "--listen")
    if admin is not None:
        document.put(("server", "admin"), admin, "--admin")
