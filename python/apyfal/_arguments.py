"""Arguments that are wrong are told by their names, before anything is done."""
from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

__all__ = ['check']


def check(**given: Any) -> None:
    """Refuses what cannot be meant.

    Args:
        given: Arguments that calls of accelerators have in common, by name. None says nothing.

    Raises:
        TypeError: One is of another type.
    """
    for name, value in given.items():
        if value is None:
            continue
        wanted, is_right = _WANTED[name]
        if not is_right(value):
            raise TypeError(f"'{name}' must be {wanted}, not '{type(value).__name__}'")


def _is_truth(value: Any) -> bool:
    # NumPy has one of its own.
    return type(value).__name__ in ('bool', 'bool_')


_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'host_env': ('a dictionary', lambda value: hasattr(value, 'keys')),
    'info_dict': ('a dictionary', lambda value: hasattr(value, 'update')),
    'info_list': ('a list', lambda value: hasattr(value, 'append')),
    'progress': ('a function, True or False', lambda value: callable(value) or isinstance(value, bool)),
    'reload': ('True or False', _is_truth),
    'reset': ('True or False', _is_truth),
    'timeout': ('a number of seconds', lambda value: isinstance(value, Real)),
}
