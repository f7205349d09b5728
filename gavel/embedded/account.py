"""As whom a server runs that refuses to run as root, and which folders that user can reach."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from gavel.child import Account
from gavel.errors import CannotRun

CANDIDATES = ("postgres", "nobody")


def is_root() -> bool:
    return os.geteuid() == 0


def unprivileged_account() -> Account:
    """The user that stands in for root. Raises CannotRun where there is none."""
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotRun(
        f"Postgres does not run as root, and there is no user {' or '.join(CANDIDATES)}: start Gavel as another user"
    )


def can_reach(account: Account, folder: Path) -> bool:
    """Whether the user may pass through every folder on the way to `folder`, and through it as far as it exists."""
    folder = folder.resolve()
    return all(_may_enter(account, step) for step in (folder, *folder.parents) if step.exists())


def _may_enter(account: Account, folder: Path) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
