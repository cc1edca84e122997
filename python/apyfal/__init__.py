"""Accelerated functions: `start`, `process`, `stop`.

>>> import apyfal
>>> with apyfal.Accelerator('sha3') as sha3:
...     _ = sha3.start()
...     sha3.process(b'abc', type='sha3-256')['digest'][:16]
'3a985da74fe225b2'
"""
from apyfal import client, configuration, exceptions, host, storage
from apyfal._accelerator import Accelerator
from apyfal._apyfal import __version__
from apyfal._iterators import iter_accelerators
from apyfal._logging import get_logger
from apyfal._pool import AcceleratorPoolExecutor

__all__ = [
    'Accelerator', 'AcceleratorPoolExecutor', '__version__', 'client', 'configuration',
    'exceptions', 'get_logger', 'host', 'iter_accelerators', 'storage']


def _look_for_leftovers() -> None:
    """Warns where files of the original lie among these: pip mixes the two without a word."""
    import os
    import warnings
    left = os.path.join(os.path.dirname(__file__), '_utilities.py')
    if os.path.exists(left):
        warnings.warn(
            f"files of the original's package are mixed with these, such as '{left}': "
            'uninstall apyfal and apyfal2, and install the one that is meant', stacklevel=3)


_look_for_leftovers()
