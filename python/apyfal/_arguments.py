"""Arguments that are wrong are told by their names, before anything is done."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

__all__ = ['check', 'location', 'text']


def check(**given: Any) -> None:
    """Refuses what cannot be meant.

    Args:
        given: Arguments by name. None says nothing, and of names that are not known here others tell.

    Raises:
        TypeError: One is of another type.
        ValueError: One is a text that nothing can be called.
    """
    for name, value in given.items():
        if value is None or name not in _WANTED:
            continue
        wanted, is_right = _WANTED[name]
        if not is_right(value):
            raise TypeError(f"'{name}' must be {wanted}, not '{type(value).__name__}'")
        if isinstance(value, str):
            _readable(value, name)


def text(value: Any, name: str) -> str:
    """A text that others read too.

    Args:
        value: What was given.
        name: What errors call it.

    Raises:
        TypeError: It is no text.
        ValueError: It has characters that are none, or a NUL.
    """
    if not isinstance(value, str):
        raise TypeError(f"'{name}' must be a str, not '{type(value).__name__}'")
    _readable(value, name)
    return value


def location(value: Any, name: str, wanted: str = 'a path or URL') -> str:
    """A path or URL as a text, in which bytes of a path that are no text are as `os.fsdecode` gives them.

    Args:
        value: What was given.
        name: What errors call it.
        wanted: What errors say that it is to be.

    Raises:
        TypeError: It is neither.
        ValueError: It has characters that are none, or a NUL.
    """
    try:
        found = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"'{name}' must be {wanted}, not '{type(value).__name__}'") from None
    _readable(found, name, 'surrogateescape')
    return found


def _readable(value: str, name: str, errors: str = 'strict') -> None:
    # It may be a secret, which no message shows.
    if '\0' in value:
        raise ValueError(f"'{name}' has a NUL in it")
    try:
        value.encode('utf-8', errors)
    except UnicodeEncodeError as error:
        raise ValueError(f"'{name}' has half of a character in it, at {error.start}") from None


def _is_truth(value: Any) -> bool:
    # NumPy has one of its own.
    return type(value).__name__ in ('bool', 'bool_')


def _is_setting(value: Any) -> bool:
    # As in a file, where other words and numbers are told by who reads them.
    return _is_truth(value) or isinstance(value, str) or (isinstance(value, int) and value in (0, 1))


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(each, str) for each in value))


def _are_many(value: Any) -> bool:
    # Of a text each character would be one, of data each byte.
    return (isinstance(value, Iterable) or hasattr(value, '__getitem__')) \
        and not isinstance(value, (str, bytes, bytearray, memoryview))


_TEXT: tuple[str, Callable[[Any], bool]] = ('a str', lambda value: isinstance(value, str))
# An id may be a number, as it may be digits in a file.
_ID: tuple[str, Callable[[Any], bool]] = (
    'a str', lambda value: isinstance(value, (str, int)) and not isinstance(value, bool))
_PATH: tuple[str, Callable[[Any], bool]] = (
    'a path or URL', lambda value: isinstance(value, (str, bytes, os.PathLike)))
_SECONDS: tuple[str, Callable[[Any], bool]] = (
    'a number of seconds', lambda value: isinstance(value, Real))
_SETTING: tuple[str, Callable[[Any], bool]] = ('True or False', _is_setting)
_TEXTS: tuple[str, Callable[[Any], bool]] = ('a str or a list of them', _are_texts)
# One in a text is what a file has.
_ARGUMENTS: tuple[str, Callable[[Any], bool]] = (
    'a dictionary', lambda value: isinstance(value, str) or hasattr(value, 'keys'))
_MANY = ('a list or another iterable', _are_many)
_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys((
        'agent_sha256', 'availability_zone', 'client_id', 'host_name_prefix', 'idle_timeout', 'image_id', 'instance_id',
        'instance_type', 'key_pair', 'max_lifetime', 'policy', 'region', 'role', 'secret_id', 'security_group',
        'subnet_id'), _ID),
    **dict.fromkeys(('agent', 'init_script', 'ssl_cert_key'), _PATH),
    **dict.fromkeys(('boto3_client_kwargs', 'boto3_create_instances_kwargs', 'boto3_session_kwargs'), _ARGUMENTS),
    **dict.fromkeys((
        'delete_volumes_on_termination', 'prefer_self_hosted', 'spot_instance', 'ssl_cert_generate', 'use_private_ip'),
        _SETTING),
    **dict.fromkeys(('allowed_cidr', 's3_buckets', 'security_group_ids'), _TEXTS),
    'TIMEOUT': _SECONDS,
    'accel_parameters': ('a dictionary', lambda value: hasattr(value, 'keys')),
    'accelerator': _TEXT,
    'accelize_client_id': _TEXT,
    'accelize_secret_id': _TEXT,
    'dsts': _MANY,
    'host_ip': _TEXT,
    'host_type': _TEXT,
    'full_stop': ('True or False', _is_truth),
    'host_env': ('a dictionary', lambda value: hasattr(value, 'keys')),
    'init_config': ('True, False, a path or a URL',
                    lambda value: isinstance(value, (bool, str, bytes, os.PathLike))),
    'info_dict': ('a dictionary', lambda value: hasattr(value, 'update')),
    'info_list': ('a list', lambda value: hasattr(value, 'append')),
    'progress': ('a function, True or False', lambda value: callable(value) or isinstance(value, bool)),
    'reload': ('True or False', _is_truth),
    'reset': ('True or False', _is_truth),
    'srcs': _MANY,
    'spot_block_duration': ('a number of minutes', lambda value: isinstance(value, (int, str))),
    'ssl_cert_crt': ('a path or False', lambda value: isinstance(value, (bool, str, bytes, os.PathLike))),
    'stop_mode': ('a str or a number', lambda value: isinstance(value, (str, int))),
    'timeout': _SECONDS,
}
