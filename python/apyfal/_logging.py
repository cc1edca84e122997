"""What the library tells of its steps."""
from __future__ import annotations

import logging

_stdout: logging.Handler | None = None


def get_logger(stdout: bool = False, debug: bool = False) -> logging.Logger:
    """The logger of Apyfal, to which each step is told. Without `stdout` nothing is printed.

    Args:
        stdout: Print the steps on the console. Where the program has set up logging itself, they are printed by
            that alone.
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
    """Prints, unless the program's own handlers do."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)
