"""What the library tells of its steps."""
from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

_stdout: logging.Handler | None = None


def get_logger(stdout: bool = False, debug: bool = False) -> logging.Logger:
    """The logger of Apyfal, to which each step is told. Without `stdout` nothing is printed.

    Args:
        stdout: Print the steps on the console. Where the program has logging print them there itself, that alone does.
        debug: Tell more.
    """
    global _stdout
    logger = logging.getLogger('apyfal')
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    if stdout and _stdout is None:
        _stdout = _Console()
        logger.addHandler(_stdout)
    if stdout:
        logger.setLevel(logging.DEBUG if debug else logging.INFO)
    return logger


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints, unless a handler of the program's own does."""

    def emit(self, record: logging.LogRecord) -> None:
        if not any(_prints(handler, record) for handler in _others(self)):
            super().emit(record)


def _others(own: logging.Handler) -> Iterator[logging.Handler]:
    """The handlers that get what is told to the logger, beside one."""
    logger: logging.Logger | None = logging.getLogger('apyfal')
    while logger is not None:
        yield from (handler for handler in logger.handlers if handler is not own)
        logger = logger.parent if logger.propagate else None


def _prints(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Whether a handler puts a record on the console."""
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, logging.StreamHandler) and any(handler.stream is console for console in consoles) \
        and record.levelno >= handler.level
