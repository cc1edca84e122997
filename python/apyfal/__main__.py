"""`python -m apyfal`: the command line."""
import os
import sys

from apyfal._program import program


def main() -> None:
    """Becomes the command `apyfal` of this installation, else the one that is found."""
    path = program()
    if path is None:
        sys.exit("apyfal: the command is not installed beside the package\n"
                 "  hint: install the package again: pip install --force-reinstall apyfal")
    os.execv(path, ['apyfal', *sys.argv[1:]])


if __name__ == '__main__':
    main()
