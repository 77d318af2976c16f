"""How nnogw is packaged."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "nnogw" / "__init__.py").read_text())[1]  # importing it would need Twisted

TEST = ["build>=1.2.1", "coverage>=7.10", "hypothesis>=6.100", "setuptools>=77"]
# mypy-zope lets mypy see which class implements which zope interface (Twisted's seams are such); it bounds mypy to the versions it knows.
LINT = ["mypy>=1.15", "mypy-zope>=1.0.17", "ruff>=0.12"]
DOCS = ["furo>=2024.8.6", "myst-parser>=4.0", "sphinx>=7.4", "towncrier>=24.8"]
NEWS = ["towncrier>=24.8"]

setup(
    name="nnogw",
    version=VERSION,
    description="The NNO Gateway: an event-driven API gateway on Twisted",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    # The plugin belongs to no package of ours: find_packages() alone would silently leave it out of the wheel.
    packages=[*find_packages(include=["nnogw", "nnogw.*"]), "twisted.plugins"],
    # Without this an editable install hides the plugin from the twistd script, even in the repository's root.
    package_dir={"": "."},
    package_data={"nnogw": ["py.typed"]},
    # The lower bounds are those of requirements/oldest.txt, with which `tox -e mindeps` runs every test.
    install_requires=[
        "attrs>=23.2.0",
        "cattrs>=24.1.0",
        "httptools>=0.6.4",
        "orjson>=3.10.0",
        "prometheus-client>=0.20.0",
        "pyopenssl>=24.2.1",
        "service-identity>=24.1.0",
        'tomli>=2.0.0; python_version < "3.11"',
        "treq>=26.7.0",  # treq.cookies.IndexableCookieJar
        "twisted[tls]>=25.5.0",  # Site(parsePOSTFormSubmission=False)
    ],
    extras_require={"test": TEST, "lint": LINT, "docs": DOCS, "news": NEWS, "dev": [*TEST, *LINT, *DOCS, *NEWS, "tox>=4.20"]},
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Topic :: Internet :: Proxy Servers",
        "Typing :: Typed",
    ],
)
