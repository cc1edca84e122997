"""Puts the core and the command line into the wheel: one build of cargo makes both."""
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

WORKSPACE = Path(__file__).resolve().parent.parent


class Hook(BuildHookInterface):
    """Builds with cargo, in the workspace's own `target`, so that nothing is built twice."""

    def initialize(self, version, build_data):
        if not (WORKSPACE / 'Cargo.lock').is_file():
            raise RuntimeError(f"'{WORKSPACE}' is no workspace of Apyfal: build from a clone of its repository")
        environment, tag = self._abi()
        built = self._built(environment)
        name, suffix = ('.dylib', '.abi3.so') if sys.platform == 'darwin' else ('.so', '.abi3.so')
        if 'abi3' not in tag:
            suffix = sysconfig.get_config_var('EXT_SUFFIX')
        build_data['force_include'][str(built / f'lib_apyfal{name}')] = f'apyfal/_apyfal{suffix}'
        build_data['shared_scripts'][str(built / 'apyfal')] = 'apyfal'
        build_data['pure_python'] = False
        # Of the names of this machine's platform that which others know, where there is one.
        platforms = list(platform_tags())
        known = [name for name in platforms if name.startswith('manylinux')]
        build_data['tag'] = f'{tag}-{(known or platforms)[0]}'

    @staticmethod
    def _built(environment):
        """The directory that has the core and the command, which are built unless others did that."""
        given = os.environ.get('APYFAL_BUILT')
        if given:
            return Path(given)
        # For who tries the wheel while developing: dev.
        profile = os.environ.get('APYFAL_BUILD_PROFILE', 'release')
        subprocess.run(
            ['cargo', 'build', '--locked', '--profile', profile,
             '--package', 'apyfal-python', '--package', 'apyfal-cli'],
            cwd=WORKSPACE, env=environment, check=True, stdout=sys.stderr)
        target = Path(environment.get('CARGO_TARGET_DIR', WORKSPACE / 'target'))
        return target / ('debug' if profile == 'dev' else profile)

    @staticmethod
    def _abi():
        """The environment to build in, and the tag of what comes out."""
        environment = dict(os.environ)
        # What pip puts on the path is elsewhere each time, and what compiles C would be built anew.
        path = environment.get('PATH', '').split(os.pathsep)
        environment['PATH'] = os.pathsep.join(
            folder for folder in path if 'pip-build-env-' not in folder)
        if not sysconfig.get_config_var('Py_GIL_DISABLED'):
            return environment, 'cp311-abi3'
        # Free-threaded Python has no stable ABI before 3.15, so it is built for this one alone.
        environment['PYO3_PYTHON'] = sys.executable
        environment['PYO3_NO_PYTHON'] = ''
        version = f'cp{sys.version_info.major}{sys.version_info.minor}'
        return environment, f'{version}-{version}t'
