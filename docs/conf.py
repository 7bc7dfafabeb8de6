"""The site of these documents, by Sphinx: make docs, which takes every warning for an error."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import rtshm
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "rtshm"
version = release = rtshm.__version__
html_title = f"{project} {version}"
html_theme = "alabaster"
html_theme_options = {"page_width": "70em", "sidebar_width": "14em", "body_max_width": "none"}
html_copy_source = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]

# Links to headings of other documents, as where these are read on their own.
myst_heading_anchors = 3

# What is quoted is quoted as it is typed.
smartquotes = False

# Docstrings are text for people first: a name between backticks is code.
default_role = "literal"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 90


def want_docstring(
    _app: Sphinx, _what: str, name: str, thing: object, _options: object, lines: list[str]
) -> None:
    """Nothing is in the reference without a word about it."""
    # Sphinx does not read what a dict of __slots__ says of an attribute with an annotation.
    lines += [] if lines else (inspect.getdoc(thing) or "").splitlines()
    if not lines:
        logging.getLogger(__name__).warning("%s has no docstring", name)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", want_docstring)
