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
that stays alive; the manifest that ``--manifest`` prints makes a package of it. What the function imports must be where it
runs, and so must this package.
"""
from __future__ import annotations

import functools
import importlib
import inspect
import io
import json
import math
import os
import pathlib
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TextIO, TypeVar, overload

__all__ = ['accelerator', 'manifest', 'section', 'serve']

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
    name = function.__name__
    for is_so, kind in ((inspect.iscoroutinefunction, 'a coroutine'), (inspect.isgeneratorfunction, 'a generator'),
                        (inspect.isasyncgenfunction, 'an asynchronous generator')):
        if is_so(function):
            raise TypeError(f"'{name}' must be a plain function, not {kind}")
    parameters = list(inspect.signature(function).parameters.values())
    ends = 2 if files else 1
    by_position = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if len([parameter for parameter in parameters[:ends] if parameter.kind in by_position]) < ends:
        raise TypeError(f"'{name}' takes no " + ('files' if files else 'source'))
    for parameter in parameters[ends:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"'{name}' must name its parameters and take them by name, not '{parameter}'")
        if parameter.default is not parameter.empty and parameter.default is not None \
                and not _is_plain(parameter.default):
            raise TypeError(f"'{parameter.name}' of '{name}' cannot have the default {parameter.default!r}: "
                            'it takes True, False, numbers, texts, lists and dictionaries')
    function.__apyfal__ = files
    return function


def _is_plain(value: Any) -> bool:
    """Whether JSON and TOML both have a form for a value."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(key) and _is_plain(held) for key, held in value.items())
    if type(value) is str:
        # No halves of characters.
        return value == value.encode('utf-8', 'replace').decode('utf-8')
    if type(value) is int:
        return -1 << 63 <= value < 1 << 63
    return type(value) is bool or type(value) is float and math.isfinite(value)


def section(function: Callable[..., Any], command: list[str]) -> str:
    """The section of `accelerator.conf` that runs a function.

    Args:
        function: The accelerator.
        command: The program that serves it.
    """
    lines = [f'[accelerator.{function.__name__}]']
    summary = _summary(function)
    if summary:
        lines.append(f'summary = {summary}'.replace('%', '%%'))
    lines.append(f'worker = {json.dumps(command)}'.replace('%', '%%'))
    declared = _declared(function)
    if declared:
        lines.append(f'parameters = {declared!r}'.replace('%', '%%'))
    return '\n'.join(lines) + '\n'


def manifest(function: Callable[..., Any], module: str, file: str) -> str:
    """The manifest `accelerator.toml` of a package with a function and its module.

    Args:
        function: The accelerator.
        module: The name of its module.
        file: The file of that, from the directory of the manifest.
    """
    top = file.split('/')[0]
    about: dict[str, Any] = {'name': function.__name__, 'version': '0.1.0'}
    summary = _summary(function)
    if summary:
        about['summary'] = summary
    about['worker'] = ['python3', '-m', 'apyfal.worker', f'{module}:{function.__name__}',
                       '--file', f'./{file}']
    # Where the module is one of a package, all of that.
    about['files'] = [top if top == file else f'{top}/**']
    tables: dict[str, dict[str, Any]] = {
        'parameters': _declared(function), 'requires': {'system': ['python3']}}
    lines = [f'{key} = {_toml(value)}' for key, value in about.items()]
    for name, table in tables.items():
        if table:
            lines += ['', f'[{name}]']
            lines += [f'{_toml(key)} = {_toml(value)}' for key, value in table.items()]
    return '\n'.join(lines) + '\n'


def _summary(function: Callable[..., Any]) -> str:
    documented = inspect.getdoc(function) or ''
    return documented.partition('\n')[0]


def _declared(function: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """The parameters of a function, as sections and manifests have them."""
    declared: dict[str, dict[str, Any]] = {}
    ends = 2 if getattr(function, '__apyfal__') else 1
    for parameter in list(inspect.signature(function).parameters.values())[ends:]:
        known: dict[str, Any] = {'type': _TYPES.get(parameter.annotation, 'any')}
        if parameter.default is not parameter.empty and parameter.default is not None:
            known['default'] = parameter.default
        declared[parameter.name] = known
    return declared


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        items = ', '.join(f'{_toml(key)} = {_toml(held)}' for key, held in value.items())
        return f'{{ {items} }}'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    # What JSON has beside these, TOML has as well.
    return json.dumps(value, ensure_ascii=False)


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
        # What JSON has no form for fails here: nan, and halves of characters.
        text = json.dumps(answer, allow_nan=False, ensure_ascii=False)
        text.encode('utf-8')
    except Exception as error:
        traceback.print_exc()
        shown = f'{type(error).__name__}: {error}'.rstrip(': ')
        shown = shown.encode('utf-8', 'backslashreplace').decode('utf-8')
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
    """`python -m apyfal.worker MODULE:FUNCTION`, which serves it."""
    import argparse
    parser = argparse.ArgumentParser(
        prog='python -m apyfal.worker',
        description='Serve an accelerator that is a function: jobs are lines on standard input.')
    parser.add_argument('function', metavar='MODULE:FUNCTION')
    parser.add_argument('--file', help="the module's file, where it is not in the working directory")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument('--section', action='store_true',
                         help='print its section of accelerator.conf instead')
    instead.add_argument('--manifest', action='store_true',
                         help='print the manifest of its package, accelerator.toml, instead')
    options = parser.parse_args(arguments)
    name, _, attribute = options.function.partition(':')
    if not attribute:
        parser.error(f"'{options.function}' names no function of a module")
    sys.path.insert(0, os.getcwd() if options.file is None else _root(name, options.file))
    module = importlib.import_module(name)
    function: Any = getattr(module, attribute, None)
    if not hasattr(function, '__apyfal__'):
        sys.exit(f"'{attribute}' of '{name}' is no accelerator: put @apyfal.worker.accelerator before it")
    if options.section:
        command = [sys.executable, '-m', 'apyfal.worker', options.function]
        print(section(function, command), end='')
    elif options.manifest:
        file = os.path.relpath(str(module.__file__))
        if file.startswith(os.pardir):
            sys.exit(f"'{name}' is not in this directory, of which the package is made: '{file}'")
        print(manifest(function, name, file), end='')
    else:
        serve(function)


def _root(module: str, file: str) -> str:
    """Where a module is imported from that is in this file."""
    path = pathlib.Path(os.path.abspath(file))
    depth = module.count('.') + (path.stem == '__init__')
    return str(path.parents[depth])


if __name__ == '__main__':
    main(sys.argv[1:])
