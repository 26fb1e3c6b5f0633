"""Keeping other programs' own notes from the user."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO


@contextmanager
def silenced() -> Iterator[None]:
    """Keep a converter's own notes, about optional packages and its deprecations, from the user."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
