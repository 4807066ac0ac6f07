"""The Prefect server that lasts, of one user on one machine: where its things are, and who it is. `fitcore server` is its command.

It has a folder of its own: a record of who it is, a password, a log, its database where that is SQLite. Who it is means process number
and start time: a number that another process was given since is never taken for it. `flows.lasting_life` starts and stops it,
`flows.lasting_told` asks it, `flows.lasting_process` is what runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import socket
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx

from fitcore.store import durable
from fitcore.store.attempts import HOLDER_FIELDS, Process
from flows.settings import Settings, secret
from flows.troubles import ServerError

HOST, PORT = "127.0.0.1", 4200
ANSWER_SECONDS = 5.0
LOG_TAIL = 2000
RUNNING, STOPPED, LOST, ELSEWHERE = "running", "stopped", "lost", "elsewhere"
ANY_HOST = ("0.0.0.0", "::")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a server has noted of itself.

    Parameters
    ----------
    url : of its API.
    database : in words, without a password.
    since, ended : times, UTC; ``ended`` is empty until it has ended in order.
    version : of Prefect.
    """

    process: Process
    url: str
    port: int
    database: str
    since: str
    version: str
    ended: str = ""

    @property
    def standing(self) -> str:
        """Whether it runs, was stopped, is gone without having been stopped, or is another machine's."""
        if self.ended:
            return STOPPED
        if self.process.is_alive():
            return RUNNING
        return LOST if self.process.host == socket.gethostname() else ELSEWHERE


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folder of the server, and what lies in it."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """That of the settings."""
        return cls(folder=settings.data / "server")

    @property
    def password(self) -> Path:
        """``user:password``, its owner's alone."""
        return self.folder / "password"

    @property
    def log(self) -> Path:
        """What the server says, bounded; the part before is beside it."""
        return self.folder / "server.log"

    @property
    def home(self) -> Path:
        """PREFECT_HOME of the server."""
        return self.folder / "home"

    @property
    def _record(self) -> Path:
        return self.folder / "record.json"

    def make(self) -> None:
        """The folder and the password, for their owner alone."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with contextlib.suppress(FileExistsError):
            durable.create(self.password, f"fitcore:{secrets.token_urlsafe(32)}\n".encode(), 0o600)

    def auth(self) -> str:
        """User and password.

        Raises
        ------
        SettingsError
            when the file cannot be read, or others can.
        """
        remedy = "Remove it, and run 'fitcore server stop' and 'fitcore server start': they make another."
        return secret(self.password, f"The password of the server is in {self.password}", remedy).decode()

    def record(self) -> Record | None:
        """What the last server noted; None where there was none.

        Raises
        ------
        ServerError
            when it cannot be read.
        """
        try:
            found = json.loads(durable.read_bytes(self._record, at_most=2**16))
            process = found.pop("process")
            if process.keys() != HOLDER_FIELDS.keys() or any(not isinstance(process[name], kind) for name, kind in HOLDER_FIELDS.items()):
                raise ValueError("its process is no process")
            record = Record(process=Process(**process), **found)
            if any(not isinstance(value, int if name == "port" else str) for name, value in found.items()):
                raise ValueError("its fields have the wrong types")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ServerError(
                f"The record of the server, {self._record}, cannot be used ({error}). End the server by hand if it still runs, and remove "
                "that file."
            ) from error
        return record

    def note(self, record: Record) -> None:
        """Note it, in the place of what was noted before."""
        durable.replace(self._record, json.dumps(asdict(record)).encode() + b"\n")

    def tail(self) -> str:
        """The last words of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
                return file.read().decode(errors="replace").strip() or "none"
        except OSError:
            return "none"


def url_of(host: str, port: int) -> str:
    """Where the API of a server on this host is found from here."""
    name = HOST if host in ANY_HOST else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/api"


def answers(url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether a Prefect API answers."""
    with contextlib.suppress(httpx.HTTPError, OSError):
        return httpx.get(f"{url}/health", timeout=seconds, trust_env=False).status_code == httpx.codes.OK
    return False


def preferred(settings: Settings) -> Settings:
    """The settings, with the server of `start` named where it runs and answers and PREFECT_API_URL names none."""
    place = Place.of(settings)
    if settings.prefect_api_url is not None or not place.folder.is_dir():
        return settings
    record = place.record()
    if record is None or record.standing != RUNNING:
        return settings
    if not answers(record.url):
        warnings.warn(
            f"the server of 'fitcore server start' (process {record.process.pid}) does not answer at {record.url}, and is not used; "
            "'fitcore server status' tells more, 'fitcore server stop' ends it",
            stacklevel=2,
        )
        return settings
    return replace(settings, prefect_api_url=record.url, prefect_api_auth=place.auth())


def shell_lines(place: Place, record: Record) -> list[str]:
    """What a shell must run to talk to the server: the password is read from its file, and shows nowhere."""
    reading = f"cat {shlex.quote(str(place.password))}"
    return [f"export PREFECT_API_URL={shlex.quote(record.url)}", f'export PREFECT_API_AUTH_STRING="$({reading})"']
