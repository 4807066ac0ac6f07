"""The database of a lasting Prefect server: a URL of the user's in the form that Prefect takes, without its password, and tried out.

Its password is on no command line: whoever looks at the database is a process of its own that reads the URL from its input.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

from flows.settings import Settings, child_environment
from flows.troubles import DatabaseError

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
CHECK_SECONDS = 60.0
PASSWORD = re.compile(r"([?&](?:password|passfile|sslpassword)=)[^&]*", re.IGNORECASE)


def told(url: str | None) -> str:
    """The database in words, without a password."""
    if url is None:
        return "SQLite"
    head, sign, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return PASSWORD.sub(r"\1***", f"{head}{sign}{user}{':***' if colon else ''}{at}{place}")


def password_of(url: str | None) -> str:
    """The password in a URL; empty where there is none."""
    if url is None:
        return ""
    return urlsplit(url).password or ""


def plain_url(text: str) -> str:
    """The URL with the scheme ``postgresql``.

    Raises
    ------
    DatabaseError
        for anything but the URL of a PostgreSQL database.
    """
    scheme, sign, rest = text.partition("://")
    if scheme not in SCHEMES or not sign or "/" not in rest.partition("?")[0] or rest.endswith("/"):
        raise DatabaseError(
            f"The database is {told(text)!r}; it must be like postgresql://user:password@host:5432/name. Without one, the server keeps "
            "its own SQLite file."
        )
    return f"postgresql://{rest}"


def prefect_url(plain: str) -> str:
    """The URL as Prefect's server takes it."""
    return plain.replace("postgresql://", "postgresql+asyncpg://", 1)


def check(plain: str, settings: Settings) -> str:
    """The version of the PostgreSQL server behind a URL.

    Raises
    ------
    DatabaseError
        when it does not answer, refuses, is too old, or does not let Prefect make its tables.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "flows.database_check"],
            input=json.dumps({"url": plain}),
            env=child_environment(settings),
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
        found = json.loads(answer.stdout)
    except subprocess.TimeoutExpired:
        found = {"fault": f"it does not answer within {CHECK_SECONDS:.0f} s"}
    except ValueError:
        found = {"fault": f"the check failed: {answer.stderr.strip()[-500:] or 'no answer'}"}
    if "fault" in found:
        raise DatabaseError(
            f"The database {told(plain)} cannot be used: {without(found['fault'], password_of(plain))}. Check that PostgreSQL runs there, "
            "and that user, password and name are right; deploy/README.md says how to make one."
        )
    return str(found["version"])


def without(text: str, secret: str) -> str:
    """The text without a password."""
    return text.replace(secret, "***") if secret else text
