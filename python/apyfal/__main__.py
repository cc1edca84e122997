"""`python -m apyfal`: the command line."""
import os
import shutil
import sys
import sysconfig


def main() -> None:
    """Becomes the command `apyfal` of this installation, else the one that is found."""
    own = os.path.join(sysconfig.get_path('scripts'), 'apyfal')
    program = own if os.access(own, os.X_OK) else shutil.which('apyfal')
    if program is None:
        sys.exit("apyfal: the command is not installed beside the package\n"
                 "  hint: install the package again: pip install --force-reinstall apyfal")
    os.execv(program, ['apyfal', *sys.argv[1:]])


if __name__ == '__main__':
    main()
