"""Names of files as the person knows them, also of a run that was recorded on another system."""

from __future__ import annotations

import ntpath
import os


def base(path: str) -> str:
    r"""The last part of a path, which may be one of Windows' on a system that is not.

    >>> base("/home/me/train.py"), base(r"C:\me\train.py"), base(r"\\server\share\train.py")
    ('train.py', 'train.py', 'train.py')
    """
    drive, _ = ntpath.splitdrive(path)
    return (
        ntpath.basename(path)
        if drive and path.startswith((f"{drive}\\", f"{drive}/"))
        else os.path.basename(path)
    )
