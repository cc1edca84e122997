"""What importing the package does: nothing."""
import pathlib

import pytest

import apyfal


def test_the_modules_are_there_after_one_import(program):
    program('''
        import apyfal
        apyfal.client.AcceleratorClient, apyfal.configuration.Configuration, apyfal.storage.open
        apyfal.host.Host, apyfal.exceptions.AcceleratorException
        from apyfal.host.aws import AWSHost
        from apyfal.host.openstack import OpenStackHost
        from apyfal.host.alibaba import AlibabaCSP
        from apyfal.client.rest import RESTClient
        from apyfal.client.syscall import SysCallClient
        from apyfal.storage.aws import S3Storage
        assert apyfal.__version__.count('.') == 2
    ''')


def test_nothing_happens_at_import(program, tmp_path):
    (tmp_path / 'accelerator.conf').write_text('[host\n')
    ended = program('''
        import os, sys
        seen = []
        sys.addaudithook(lambda event, args: seen.append((event, args)))
        import apyfal
        opened = [str(args[0]) for event, args in seen if event == 'open']
        assert not [path for path in opened if 'accelerator.conf' in path], opened
        events = {event for event, _ in seen}
        wrong = {event for event in events if event.partition('.')[0] in ('socket', 'subprocess')}
        assert not wrong, wrong
        assert len(os.listdir('/proc/self/task')) == 1
        assert 'numpy' not in sys.modules and 'asyncio' not in sys.modules
    ''')
    assert ended.stdout == ended.stderr == ''


def test_leftovers_of_the_original_are_told(program, tmp_path):
    package = pathlib.Path(apyfal.__file__).parent
    mixed = tmp_path / 'mixed' / 'apyfal'
    mixed.mkdir(parents=True)
    for path in package.iterdir():
        (mixed / path.name).symlink_to(path)
    ended = program('''
        import sys
        sys.path.insert(0, 'mixed')
        import apyfal
    ''', flags=('-W', 'default'))
    assert ended.stderr == ''
    (mixed / '_utilities.py').touch()
    ended = program('''
        import sys
        sys.path.insert(0, 'mixed')
        import apyfal
    ''', flags=('-W', 'default'))
    assert "_utilities.py': uninstall apyfal and apyfal2" in ended.stderr


def test_the_library_prints_nothing(program):
    ended = program('''
        import apyfal
        with apyfal.Accelerator('sha3') as sha3:
            sha3.start()
            sha3.process(b'abc', type='sha3-256')
    ''')
    assert ended.stdout == ended.stderr == ''


def test_the_logger_prints_the_steps_once(program):
    steps = '''
        with apyfal.Accelerator('sha3') as sha3:
            sha3.start()
    '''
    told = program('''
        import apyfal
        assert apyfal.get_logger(True) is apyfal.get_logger(True)''' + steps)
    assert told.stderr == 'Configuring accelerator...\nAccelerator ready\n'
    told = program('''
        import apyfal
        logger = apyfal.get_logger(True)
        logger.debug('not told')
        apyfal.get_logger(True, debug=True).debug('more')
        apyfal.get_logger().debug('and more')''')
    assert told.stderr == 'more\nand more\n'
    told = program('''
        import apyfal, logging
        logging.basicConfig(format='%(message)s')
        apyfal.get_logger(True)''' + steps)
    assert told.stderr == 'Configuring accelerator...\nAccelerator ready\n'


@pytest.mark.parametrize('setup, is_told', [
    ("logging.getLogger().addHandler(logging.NullHandler())", True),
    ("logging.getLogger().addHandler(logging.FileHandler('log'))", True),
    ("logging.getLogger().addHandler(logging.StreamHandler(open('log', 'w')))", True),
    ("logging.getLogger('apyfal').addHandler(logging.StreamHandler())", False),
    ("logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))", False)])
def test_the_logger_prints_unless_the_programs_own_does(program, setup, is_told):
    told = program(f'''
        import apyfal, logging, sys
        {setup}
        apyfal.get_logger(True).info('told')''', flags=())
    assert (told.stderr + told.stdout) == 'told\n'
    assert told.stderr or not is_told


def test_every_public_name_is_documented():
    for name in apyfal.__all__:
        if name != '__version__':
            assert getattr(apyfal, name).__doc__, name
