"""The tree of exceptions."""
import copy
import errno
import pickle

import pytest

from apyfal import _apyfal, exceptions
from apyfal.exceptions import (
    AcceleratorException, ClientAuthenticationException, ClientConfigurationException,
    ClientException, ClientRuntimeException, ClientSecurityException,
    HostAuthenticationException, HostConfigurationException, HostException,
    HostRuntimeException, StorageAuthenticationException, StorageConfigurationException,
    StorageException, StorageResourceNotExistsException, StorageRuntimeException)


@pytest.mark.parametrize('parent, children', [
    (AcceleratorException, (ClientException, HostException, StorageException)),
    (ClientException, (ClientAuthenticationException, ClientConfigurationException,
                       ClientRuntimeException, ClientSecurityException)),
    (HostException, (HostAuthenticationException, HostConfigurationException,
                     HostRuntimeException)),
    (StorageException, (StorageAuthenticationException, StorageConfigurationException,
                        StorageResourceNotExistsException, StorageRuntimeException)),
])
def test_the_tree(parent, children):
    assert set(parent.__subclasses__()) >= set(children)
    for child in children:
        assert child.__doc__
        with pytest.raises(parent):
            raise child('text')


def test_what_they_say():
    assert str(ClientAuthenticationException()) == 'Accelize authentication failed'
    assert str(HostAuthenticationException(exc=ValueError('why'))) == (
        'Failed to authenticate to host: why')
    assert str(ClientRuntimeException('text')) == 'text'
    assert str(HostRuntimeException(gen_msg='no_instance')) == exceptions.MESSAGES['no_instance']
    assert str(HostRuntimeException(gen_msg=('no_find_named', 'image', 'x'))) == (
        "image 'x' is not found")
    assert str(HostException(msg='mine', gen_msg='no_instance')) == 'mine'
    assert str(HostConfigurationException('text.', exc='more')) == 'text: more'
    assert ClientRuntimeException('text').hints == []


def test_every_kind_has_a_class_in_each_domain():
    for kind in _apyfal.KINDS:
        for domain, root in (('client', ClientException), ('host', HostException),
                             ('storage', StorageException)):
            found = exceptions.class_of(kind, domain)
            assert issubclass(found, root), kind
            raised = exceptions.from_core(kind, domain, 'text', ['do'], {'host': 'h', 'job': None})
            assert type(raised) is found and str(raised) == 'text'
            assert (raised.kind, raised.hints, raised.details) == (kind, ['do'], {'host': 'h'})
            again = pickle.loads(pickle.dumps(raised))
            assert type(again) is found and str(again) == 'text' and again.kind == kind
    assert exceptions._KINDS.keys() == set(_apyfal.KINDS)


def test_they_travel_between_processes_as_they_are():
    class Own(ClientRuntimeException):
        def __init__(self, code):
            super().__init__(f'code {code}', None, None, code)
    globals()['Own'] = Own
    Own.__qualname__ = 'Own'
    storage = exceptions.class_of('storage-not-found', 'storage')
    for raised in (HostRuntimeException('text', None, ValueError('why'), 1, 2), Own(3), storage('text', None, None, 5, 'x')):
        raised.hints.append('do')
        raised.add_note('a note')
        for again in (pickle.loads(pickle.dumps(raised)), copy.copy(raised)):
            assert type(again) is type(raised) and again.args == raised.args
            assert str(again) == str(raised) and again.hints == ['do'] and again.__notes__ == ['a note']


NUMBERS = {'storage-not-found': [errno.ENOENT], 'security': [errno.EACCES], 'timeout': [errno.ETIMEDOUT],
           'storage-full': [errno.ENOSPC]}


@pytest.mark.parametrize('kind, builtin', [
    ('storage-not-found', FileNotFoundError), ('security', PermissionError),
    ('timeout', TimeoutError), ('storage-full', OSError)])
def test_some_are_what_new_code_catches(kind, builtin):
    for domain in ('client', 'host', 'storage'):
        assert issubclass(exceptions.class_of(kind, domain), builtin)
        assert exceptions.class_of(kind, domain).__name__ in exceptions.__all__
        raised = exceptions.from_core(kind, domain, 'text', [], {})
        exceptions.of_file(raised, 'name')
        for same in (raised, pickle.loads(pickle.dumps(raised))):
            assert str(same) == 'text' and same.errno in NUMBERS[kind] and same.filename == 'name'
