"""The configuration: what `accelerator.conf`, the environment and the program say."""
from __future__ import annotations

import json
import os
import re
import stat
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any
from warnings import warn

from apyfal import _apyfal
from apyfal import _arguments as _args
from apyfal import exceptions as _exc

__all__ = ['Configuration', 'create_configuration', 'accelerator_executable_available']

#: The executable that made a machine a host of the original.
ACCELERATOR_EXECUTABLE = '/opt/accelize/accelerator/accelerator'


def create_configuration(configuration_file: Any = None) -> Configuration:
    """The configuration that is meant: one that is given as it is, else what can be read.

    Args:
        configuration_file: A `Configuration`, or what its constructor takes.
    """
    if isinstance(configuration_file, Configuration):
        return configuration_file
    try:
        return Configuration(configuration_file)
    except _NoSource:
        raise _NoSource('config', configuration_file) from None


class _NoSource(TypeError):
    """What no configuration can be read from."""

    def __init__(self, name: str, given: Any) -> None:
        super().__init__(f"'{name}' must be a path, a URL, a file object or a Configuration, "
                         f"not '{type(given).__name__}'")


def accelerator_executable_available() -> bool:
    """Whether the original's executable is on this machine."""
    return os.path.isfile(ACCELERATOR_EXECUTABLE)


class Section(MutableMapping[str, Any]):
    """A section, with what it inherits: `host.AWS` has what `host` has.

    A key that is not set reads as None. Setting one to None does nothing; ``del`` forgets it. What is inherited is there
    too, and stays: only what the section itself has is deleted.
    """

    __slots__ = '_parent', '_name'

    def __init__(self, parent: Configuration, name: str) -> None:
        self._parent = parent
        self._name = name

    def __getitem__(self, key: str) -> Any:
        text = self._parent._core.get(self._name, _args.text(key, 'key'))
        written, value = self._parent._objects.get((self._name, key), (None, None))
        return value if text is not None and text == written else text

    def __setitem__(self, key: str, value: Any) -> None:
        _args.text(key, 'key')
        if value is None:
            return
        if isinstance(value, str):
            text = _args.text(value, key)
            self._parent._objects.pop((self._name, key), None)
        else:
            text = _written(value, key)
            self._parent._objects[self._name, key] = text, value
        self._parent._core.set(self._name, key, text)
        self._parent._made.add(self._name)

    def __delitem__(self, key: str) -> None:
        if not self._has(key):
            raise KeyError(key)
        self._parent._core.remove(self._name, key)
        self._parent._objects.pop((self._name, key), None)

    def _has(self, key: str) -> bool:
        """Whether the section itself has a key, not only one that it is a part of."""
        return key in self._parent._core.own_keys(self._name)

    def __iter__(self) -> Iterator[str]:
        core = self._parent._core
        keys = core.keys(self._name) + core.own_keys('DEFAULT')
        return iter([key for key in dict.fromkeys(keys) if self[key] is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self[key] is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, else the default."""
        value = self[key]
        return default if value is None else value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set to the default where it has none."""
        return self[key] if key in self else self.set(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Forgets a key of the section itself; the value that it had, else the default.

        Raises:
            KeyError: There is neither.
        """
        if default and not self._has(key):
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Forgets a key of the section itself; that and its value.

        Raises:
            KeyError: It has none.
        """
        for key in self:
            if self._has(key):
                return key, self.pop(key)
        raise KeyError(f"section '{self._name}' is empty")

    def clear(self) -> None:
        """Forgets all keys of the section itself."""
        for key in self:
            if self._has(key):
                del self[key]

    def set(self, parameter: str, value: Any = None) -> Any:
        """Sets a value unless it is None; the value that the key then has."""
        self[parameter] = value
        return self[parameter]

    def get_literal(self, parameter: str) -> Any:
        """The value of a key as Python reads it: ``True``, ``1024``, ``{'a': (1, 2)}``.

        What is no literal is the text itself.
        """
        value = self[parameter]
        if not isinstance(value, str):
            return value
        try:
            return literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return value

    def get_list(self, parameter: str, sep: str = '\n') -> list[str]:
        """The parts of a value, by default its lines, without those that are empty."""
        value = self[parameter]
        if not isinstance(value, str):
            return list(value or ())
        return [part for part in (part.strip() for part in value.split(sep)) if part]

    def __repr__(self) -> str:
        return repr({key: '***' if _is_secret(key) else _literally_masked(self.get_literal(key), value)
                     for key, value in self.items()})


class _Sections(MutableMapping[str, Section]):
    """The sections, of which one can be removed."""

    def __init__(self, parent: Configuration) -> None:
        self._parent = parent

    def __getitem__(self, name: str) -> Section:
        if name not in self._parent:
            raise KeyError(name)
        return self._parent[name]

    def __setitem__(self, name: str, values: Mapping[str, Any]) -> None:
        self._parent[name].update(values)

    def __delitem__(self, name: str) -> None:
        if name not in self._parent:
            raise KeyError(name)
        self._parent._core.remove_section(name)
        self._parent._made.discard(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parent)

    def __len__(self) -> int:
        return len(self._parent)


class Configuration(Mapping[str, Section]):
    """What the file, the environment and the program say, by section.

    What the program sets goes before the variables `APYFAL__SECTION__KEY`, and these before the file. A section
    that there is not is empty. A configuration can be pickled, secrets included.

    Args:
        configuration_file: A path or any storage URL, or a file object. Without it the file that the variable
            APYFAL_CONFIG_FILE names, else ./accelerator.conf, else ~/accelerator.conf, else nothing.

    Raises:
        apyfal.exceptions.ClientConfigurationException: A file that was named cannot be read, or a file is wrong.
    """
    #: What the file is called that is looked for.
    DEFAULT_CONFIG_FILE = 'accelerator.conf'

    def __init__(self, configuration_file: Any = None) -> None:
        if configuration_file is None or configuration_file == '':
            core = _apyfal.Configuration()
        elif hasattr(configuration_file, 'read'):
            text = configuration_file.read()
            text = text.encode('utf-8') if isinstance(text, str) else text
            if not isinstance(text, bytes):
                raise TypeError("'configuration_file' must be a file object of text or bytes: "
                                f"its 'read' gives '{type(text).__name__}'")
            name = str(getattr(configuration_file, 'name', 'a file object'))
            core = _apyfal.Configuration.parse(text, name)
        elif isinstance(configuration_file, (str, bytes, os.PathLike)):
            core = self._read(configuration_file)
        else:
            raise _NoSource('configuration_file', configuration_file)
        self._use(core)
        for warning in core.warnings:
            deprecated = 'is deprecated' in warning
            warn(warning, DeprecationWarning if deprecated else UserWarning, stacklevel=2)

    @staticmethod
    def _read(path: Any) -> _apyfal.Configuration:
        try:
            return _apyfal.Configuration(_args.text(os.fsdecode(path), 'configuration_file'))
        except ValueError as error:
            raise _exc.ClientConfigurationException(str(error)) from None
        except _exc.ClientConfigurationException as error:
            if not str(error).endswith('no such file or directory'):
                raise
            missing = _exc.also(error, FileNotFoundError)
            _exc.of_file(missing, path)
            raise missing from None

    def _use(self, core: _apyfal.Configuration) -> None:
        self._core = core
        # What was set that is no text, beside the text that stands for it.
        self._objects: dict[tuple[str, str], tuple[str, Any]] = {}
        self._made: set[str] = set()
        self._cache: dict[str, Any] = {}

    @property
    def _sections(self) -> MutableMapping[str, Section]:
        return _Sections(self)

    def __getitem__(self, name: str) -> Section:
        if not isinstance(name, str):
            raise TypeError(f"the name of a section is a str, not '{type(name).__name__}'")
        _args.text(name, 'section')
        self._made.add(name)
        return Section(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        names = self._core.sections
        return names + sorted(self._made.difference(names))

    def __repr__(self) -> str:
        return f'<apyfal.configuration.Configuration sections={self._names()}>'

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unpickled, (type(self), self._said(), self._objects), self._beside())

    def _said(self) -> str | list[tuple[str, str, str]]:
        """What it says, as a file, or where none can hold it as section, key and text of each value."""
        file = _file(self._core)
        if file is not None:
            return file
        values = [(name, key, self._core.get(name, key))
                  for name in [*self._core.sections, 'DEFAULT'] for key in self._core.own_keys(name)]
        return [(name, key, text) for name, key, text in values if text is not None]

    def _beside(self) -> dict[str, Any]:
        """What a copy has too, beside what is said: what a subclass keeps, and which sections there are."""
        own = {'_core', '_objects', '_cache'}
        kept = {name: value for name, value in self.__dict__.items() if name not in own}
        return {**kept, '_made': set(self._made)}

    def copy(self) -> Configuration:
        """Another configuration that says the same."""
        other = type(self).__new__(type(self))
        other._use(self._core.copy())
        other._objects.update(self._objects)
        other.__dict__.update(self._beside())
        return other

    def write(self, fileobject: Any) -> None:
        """Writes it as a file that reads back equal. Its secrets are in it.

        Args:
            fileobject: A file object of text, or a path: none but the user can read that file then, also where others
                could before.
        """
        text = self._core.write()
        if hasattr(fileobject, 'write'):
            fileobject.write(text)
        else:
            path = _args.location(fileobject, 'fileobject', 'a path or a file object of text')
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600),
                      'w', encoding='utf-8') as file:
                known = os.fstat(file.fileno())
                if stat.S_ISREG(known.st_mode):
                    if known.st_mode & 0o077:
                        os.fchmod(file.fileno(), known.st_mode & 0o700)
                    file.truncate()
                file.write(text)

    @property
    def access_token(self) -> str:
        """A token of the catalog's server for the account of section [accelize].

        Raises:
            apyfal.exceptions.ClientAuthenticationException: There are no keys, or the server refuses them.
        """
        if 'access_token' not in self._cache:
            section = self['accelize']
            if not section['client_id'] or not section['secret_id']:
                raise _exc.ClientAuthenticationException(gen_msg='no_credentials')
            self._cache['access_token'] = self._core.access_token()
        token: str = self._cache['access_token']
        return token

    def get_host_configurations(self) -> dict[str, Any]:
        """All that the catalog offers: by type of host, accelerator and region."""
        catalog: dict[str, Any]
        catalog, origin = self._core.catalog()
        self._tell(origin)
        return catalog

    def get_host_requirements(self, host_type: str, accelerator: str) -> dict[str, Any]:
        """What an accelerator needs on a type of host.

        Args:
            host_type: The type of host, such as ``'AWS'``.
            accelerator: The name of the accelerator.

        Returns:
            'accelerator', and by region 'image', 'instancetype', 'fpgaimage' and what else there is. Where the
            catalog has one answer for all regions, the name of any region gives it. An image that the catalog names
            otherwise than by its id is looked for once it is read; what only a parameter of AWS names stays
            ``resolve:ssm:…``, which EC2 takes, where AWS cannot be asked.

        Raises:
            apyfal.exceptions.ClientConfigurationException: The catalog has no such accelerator or type of host.
        """
        requirements, images, origin = self._core.requirements(
            _args.text(host_type, 'host_type'), _args.text(accelerator, 'accelerator'))
        self._tell(origin)
        for region, image in images.items():
            def find(where: str | None, image: str = image) -> str:
                return self._core.image_id(host_type, where, image)
            requirements[region] = _Needs(
                requirements[region], find, None if region == '*' else region)
        return Requirements(requirements)

    def _tell(self, origin: str) -> None:
        if origin == 'built-in' and self['accelize']['client_id']:
            from apyfal._logging import get_logger
            get_logger().info(
                "The catalog that is built in answers: no 'server' is named beside client_id in [accelize]")


class _Needs(dict[str, Any]):
    """What an accelerator needs in a region, with an image that is looked for when it is read."""

    def __init__(self, values: dict[str, Any], find: Callable[[str | None], str],
                 region: str | None) -> None:
        super().__init__(values)
        self._find: Callable[[str | None], str] | None = find
        self._region = region

    def within(self, region: str) -> dict[str, Any]:
        """The same in a region, where it holds in any."""
        if self._find is None:
            return self
        # As it is, without a look at the image.
        return _Needs(dict(dict.items(self)), self._find, region)

    def _look(self) -> None:
        find, self._find = self._find, None
        if find is None:
            return
        try:
            self['image'] = find(self._region)
        except _exc.HostException:
            # EC2 looks for what a parameter has by itself.
            if not str(dict.__getitem__(self, 'image')).startswith('resolve:ssm:'):
                self._find = find
                raise

    def __getitem__(self, key: str) -> Any:
        if key == 'image':
            self._look()
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        # Said, so that a copy is made of what is read.
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def items(self) -> Any:
        self._look()
        return super().items()

    def values(self) -> Any:
        self._look()
        return super().values()

    def copy(self) -> dict[str, Any]:
        return dict(self.items())


class Requirements(dict[str, Any]):
    """What an accelerator needs, by region. A region without an entry has what holds for all others."""

    def __contains__(self, region: object) -> bool:
        return super().__contains__(region) or (isinstance(region, str) and super().__contains__('*'))

    def get(self, region: str, default: Any = None) -> Any:
        """What holds in a region, else the default."""
        return self[region] if region in self else default

    def copy(self) -> Requirements:
        """Another one that says the same."""
        return Requirements(self)

    def __or__(self, other: Any) -> Any:
        merged = super().__or__(other)
        return merged if merged is NotImplemented else Requirements(merged)

    def __ror__(self, other: Any) -> Any:
        merged = super().__ror__(other)
        return merged if merged is NotImplemented else Requirements(merged)

    def __missing__(self, region: str) -> Any:
        if '*' in self:
            anywhere = self['*']
            return anywhere.within(region) if isinstance(anywhere, _Needs) else anywhere
        regions = ', '.join(sorted(key for key in self if key != 'accelerator'))
        raise _exc.ClientConfigurationException(
            f"'{self.get('accelerator')}' is not offered in '{region}': there is {regions}")


def _file(core: _apyfal.Configuration) -> str | None:
    """A configuration as a file, where one can hold it."""
    try:
        return core.write()
    except _exc.ClientConfigurationException:
        return None


def _unpickled(cls: type[Configuration], said: str | list[tuple[str, str, str]],
               objects: dict[tuple[str, str], tuple[str, Any]]) -> Configuration:
    configuration = cls.__new__(cls)
    file, values = (said, []) if isinstance(said, str) else ('', said)
    configuration._use(_apyfal.Configuration.parse(file.encode('utf-8'), 'a pickle'))
    for value in values:
        configuration._core.set(*value)
    configuration._objects.update(objects)
    return configuration


def _written(value: Any, key: str) -> str:
    """A value as a literal that Python reads back equal."""
    try:
        text = repr(value)
    except ValueError as error:
        # A number that is longer than Python writes.
        raise ValueError(f"'{key}' cannot be written: {error}") from None
    try:
        if literal_eval(text) == value:
            return text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    raise TypeError(
        f"'{key}' cannot be a '{type(value).__name__}': a configuration holds texts and literals")


def _literally_masked(literal: Any, value: Any) -> Any:
    """A value of a section: as it is, unless it is a literal, of Python or JSON, that can hold secrets."""
    if isinstance(literal, str) and literal.lstrip().startswith(('{', '[')):
        try:
            literal = json.loads(literal)
        except (ValueError, RecursionError):
            # Nobody knows what is a secret in it; an address of IPv6 has none.
            return value if re.fullmatch(r'\[[0-9a-fA-F:.]+\](:\d+)?', literal) else '***'
    return _masked(literal if isinstance(literal, (Mapping, list, tuple)) else value)


def _masked(value: Any) -> Any:
    """A value without its secrets, at any depth."""
    if isinstance(value, Mapping):
        return {key: '***' if _is_secret(key) else _masked(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_masked, value))
    return _shown(value) if isinstance(value, str) else value


def _shown(url: str) -> str:
    """A text without the user and password that are in a URL of it."""
    return re.sub(r'(://)[^/?#\s]*@', r'\1***@', url)


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and _apyfal.is_secret_key(key)
