"""The command `apyfal`, which does what the package cannot do in this process: it runs hosts."""
from __future__ import annotations

import os


def program() -> str | None:
    """The command of this installation, else the one that is found."""
    # Only who needs it has these read.
    import shutil
    import sysconfig
    own = os.path.join(sysconfig.get_path('scripts'), 'apyfal')
    return own if os.access(own, os.X_OK) else shutil.which('apyfal')
