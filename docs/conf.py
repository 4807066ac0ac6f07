"""Sphinx: ``make docs`` builds into build/docs, with every warning an error; the figures are made by the code, the notebook is run."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "fitcore"
author = "the fitcore developers"
release = version = version_of("fitcore")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton", "figures"]
exclude_patterns = ["figures"]
html_theme = "furo"
html_title = f"fitcore {version}"
nb_execution_mode = "force" if os.environ.get("FITCORE_DOCS_NOTEBOOKS") == "1" else "off"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = True
napoleon_google_docstring = False
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository, which tests/docs checks
