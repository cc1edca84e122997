"""Objects that are given as arguments, as values that a configuration holds."""
from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ['carried', 'plain']

_DEPTH = 50


def carried(value: Any, name: str) -> Any:
    """A value as a text or literal of the same meaning.

    Args:
        value: What boto3 takes too: dictionaries, lists, bytes, times, `botocore.config.Config`.
        name: What errors call it.

    Raises:
        TypeError: It cannot be carried over.
        ValueError: It holds itself.
    """
    return _carried(value, name, _DEPTH)


def _carried(value: Any, name: str, depth: int) -> Any:
    if not depth:
        raise ValueError(f"'{name}' is nested more than {_DEPTH} deep, or holds itself")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"'{name}' cannot be {float(value)}: no configuration can hold it")
    if value is None or isinstance(value, (str, bytes, bool, int, float)):
        return plain(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        # One without a zone is in that of this machine, as for boto3.
        return value.astimezone().isoformat()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {_key(key, name): _carried(held, f"{name}['{key}']", depth - 1)
                for key, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_carried(held, f'{name}[{index}]', depth - 1)
                for index, held in enumerate(value)]
    kind = type(value)
    if any((base.__module__, base.__name__) == ('botocore.config', 'Config') for base in kind.__mro__):
        # Botocore gives no other way to what was said.
        said = value._user_provided_options
        return _carried(dict(said), name, depth - 1)
    raise TypeError(f"'{name}' cannot be a '{kind.__module__}.{kind.__qualname__}': "
                    'it takes texts, numbers, bytes, times, lists and dictionaries')


def plain(value: Any) -> Any:
    """A text, bytes or number of a class of its own, such as an enumeration's or NumPy's, as Python's own."""
    if type(value) is bool:
        return value
    for kind, reduced in _PLAIN.items():
        if isinstance(value, kind):
            return reduced(value)
    return value


# Not by the constructors: that of texts asks an enumeration what it is called.
_PLAIN: dict[type[Any], Callable[[Any], Any]] = {
    str: lambda value: str.__str__(value), bytes: lambda value: bytes.join(b'', [value]),
    int: int.__int__, float: float.__float__}


def _key(key: Any, name: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of '{name}' must be a str, not '{type(key).__name__}'")
    return str.__str__(key)
