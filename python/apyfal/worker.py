"""Accelerators written in Python: a function that others run by its name.

In `texts.py`:

>>> from apyfal.worker import accelerator
>>> @accelerator
... def reverse(source: bytes, times: int = 1) -> bytes:
...     '''Turn a text around'''
...     return source[::-1] if times % 2 else source
>>> reverse(b'abc')
b'cba'

Its section of `accelerator.conf`, as ``python3 -m apyfal.worker texts:reverse --section`` prints it, runs it as a worker
that stays alive. What the function imports must be where it runs.
"""
from __future__ import annotations

import functools
import importlib
import inspect
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TextIO, TypeVar, overload

__all__ = ['accelerator', 'section', 'serve']

_Function = TypeVar('_Function', bound=Callable[..., Any])

#: The types of parameters that a section knows.
_TYPES = {bool: 'bool', int: 'integer', float: 'float', str: 'text',
          'bool': 'bool', 'int': 'integer', 'float': 'float', 'str': 'text'}


@overload
def accelerator(function: _Function) -> _Function: ...
@overload
def accelerator(*, files: bool = False) -> Callable[[_Function], _Function]: ...


def accelerator(function: Any = None, *, files: bool = False) -> Any:
    """Makes a function an accelerator; it can be called as before.

    Args:
        function: Takes the source as `bytes` and the parameters by name, and returns the result as `bytes`, a
            dictionary (what `process` returns), or a tuple of both.
        files: It takes two binary file objects instead, the source and the destination, and returns a dictionary or
            None. This is for data that memory does not hold.
    """
    if function is None:
        return functools.partial(_marked, files=files)
    return _marked(function, files)


def _marked(function: Any, files: bool) -> Any:
    """The function, which is known as an accelerator from now on."""
    parameters = list(inspect.signature(function).parameters.values())
    ends = 2 if files else 1
    if len(parameters) < ends:
        raise TypeError(f"'{function.__name__}' takes no " + ('files' if files else 'source'))
    for parameter in parameters[ends:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"'{function.__name__}' must name its parameters, not take '{parameter}'")
    function.__apyfal__ = files
    return function


def section(function: Callable[..., Any], command: list[str]) -> str:
    """The section of `accelerator.conf` that runs a function.

    Args:
        function: The accelerator.
        command: The program that serves it.
    """
    declared: dict[str, dict[str, Any]] = {}
    ends = 2 if getattr(function, '__apyfal__') else 1
    for parameter in list(inspect.signature(function).parameters.values())[ends:]:
        known: dict[str, Any] = {'type': _TYPES.get(parameter.annotation, 'any')}
        if parameter.default is not parameter.empty and parameter.default is not None:
            known['default'] = parameter.default
        declared[parameter.name] = known
    lines = [f'[accelerator.{function.__name__}]']
    documented = inspect.getdoc(function)
    if documented:
        lines.append(f'summary = {documented.splitlines()[0]}'.replace('%', '%%'))
    lines.append(f'worker = {json.dumps(command)}')
    if declared:
        lines.append(f'parameters = {declared!r}'.replace('%', '%%'))
    return '\n'.join(lines) + '\n'


def serve(function: Callable[..., Any]) -> None:
    """Runs the jobs that come on standard input, until that ends. What the function prints goes to standard error."""
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    jobs = io.TextIOWrapper(os.fdopen(os.dup(0), 'rb'), 'utf-8')
    # What the function starts would read them away.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for line in jobs:
        _answer(function, json.loads(line), answers)


def _answer(function: Callable[..., Any], job: dict[str, Any], answers: TextIO) -> None:
    answer: dict[str, Any] = {'id': job['id']}
    try:
        result = _run(function, job.get('src'), job.get('dst'), job.get('parameters') or {})
        answer['specific'] = result
        text = json.dumps(answer)
    except Exception as error:
        traceback.print_exc()
        shown = f'{type(error).__name__}: {error}'.rstrip(': ')
        text = json.dumps({'id': job['id'], 'status': 1, 'msg': shown})
    print(text, file=answers, flush=True)


def _run(function: Callable[..., Any], src: str | None, dst: str | None,
         parameters: dict[str, Any]) -> dict[str, Any]:
    with ExitStack() as files:
        source = files.enter_context(open(src, 'rb')) if src else io.BytesIO()
        destination = files.enter_context(open(dst, 'wb')) if dst else io.BytesIO()
        if getattr(function, '__apyfal__'):
            result = function(source, destination, **parameters)
            data = b''
        else:
            result = function(source.read(), **parameters)
            data, result = result if isinstance(result, tuple) else (result, {})
            if isinstance(data, dict):
                data, result = b'', data
        if result is not None and not isinstance(result, dict):
            raise TypeError(f"'{function.__name__}' returned '{type(result).__name__}', not a dictionary")
        if data is None:
            data = b''
        try:
            destination.write(data)
        except TypeError:
            raise TypeError(f"'{function.__name__}' returned '{type(data).__name__}', not bytes") from None
        return result or {}


def main(arguments: list[str]) -> None:
    """`python -m apyfal.worker MODULE:FUNCTION [--section]`."""
    if not arguments or ':' not in arguments[0] or arguments[1:] not in ([], ['--section']):
        sys.exit('usage: python -m apyfal.worker MODULE:FUNCTION [--section]')
    module, _, name = arguments[0].partition(':')
    sys.path.insert(0, os.getcwd())
    function = getattr(importlib.import_module(module), name)
    if not hasattr(function, '__apyfal__'):
        sys.exit(f"'{name}' of '{module}' is no accelerator: put @apyfal.worker.accelerator before it")
    if arguments[1:]:
        command = [sys.executable, '-m', 'apyfal.worker', arguments[0]]
        print(section(function, command), end='')
    else:
        serve(function)


if __name__ == '__main__':
    main(sys.argv[1:])
