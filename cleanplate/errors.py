"""The one error tree of ``cleanplate``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    CleanplateError
    ├── UsageError            the command line asks for something that cannot be done
    ├── ExtraMissing          a command or function needs an extra that is not installed
    ├── FolderUnusable        nothing can be written to a folder
    ├── EmbeddedError         ``cleanplate up`` cannot start or continue
    │   ├── HomeInUse
    │   ├── HomeOpen
    │   ├── PortInUse
    │   ├── ProgramFailed
    │   └── NotReady
    ├── TextMarksMissing      this machine lacks the text detector
    ├── WeightsError          weights are missing, or did not arrive
    │   ├── WeightsMissing
    │   ├── DownloadFailed
    │   │   ├── DownloadUnreachable
    │   │   └── DownloadRefused
    │   ├── DiskFull
    │   └── DigestWrong
    └── ClientError           the service did not answer, or refused
        ├── ServiceUnreachable
        ├── Refused
        └── WebhookRefused    a post is not from the service
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

#: The extras that a command may need, as sentences name them.
_EXTRAS = {
    "ledger": "the ledger",
    "service": "the service",
    "text": "the text detector",
    "webhooks": "the signatures of webhooks",
    "worker": "the worker",
}


class CleanplateError(Exception):
    """The root of the errors of the command line, the client and the embedded service."""

    code = "cleanplate_error"


class UsageError(CleanplateError):
    """The command line asks for something that cannot be done; the sentence says why."""

    code = "usage"


class ExtraMissing(CleanplateError):
    """A command or a function needs extras of the package that are not installed."""

    code = "extra_missing"

    def __init__(self, subject: str, extras: Sequence[str]) -> None:
        parts = " and ".join(_EXTRAS[extra] for extra in extras)
        super().__init__(f"{subject} needs {parts}: pip install 'cleanplate[{','.join(extras)}]'")


class FolderUnusable(CleanplateError):
    """A folder cannot be made, or this user cannot write to it."""

    code = "folder_unusable"

    def __init__(self, folder: Path, reason: str, way_out: str) -> None:
        super().__init__(
            f"Nothing can be written to {folder} ({reason}): give the user {os.getuid()} the right to write there, or "
            f"{way_out}."
        )


class EmbeddedError(CleanplateError):
    """The embedded service cannot start or continue."""

    code = "embedded_error"


class HomeInUse(EmbeddedError):
    """Another ``up`` runs on this home folder."""

    code = "home_in_use"

    def __init__(self, home: Path) -> None:
        super().__init__(f"Cleanplate already runs on {home}: stop it first, or choose another folder with --home.")


class HomeOpen(EmbeddedError):
    """The folder is no Cleanplate home, and other users can read it."""

    code = "home_open"

    def __init__(self, home: Path) -> None:
        super().__init__(f"{home} holds other files and other users can read it: choose an empty or a new folder.")


class PortInUse(EmbeddedError):
    """Another program listens on the API's port."""

    code = "port_in_use"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"Port {port} of {host} is in use: choose another with --port (0 finds a free one).")


class ProgramFailed(EmbeddedError):
    """A program of the service cannot start."""

    code = "program_failed"

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"The program {program} cannot start: {reason}.")


class NotReady(EmbeddedError):
    """The service did not become ready in time."""

    code = "not_ready"

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(f"The service was not ready after {seconds:.0f} seconds: {reason}.")


class TextMarksMissing(CleanplateError):
    """This machine lacks the text detector."""

    code = "text_marks_missing"

    def __init__(self, packages: list[str]) -> None:
        super().__init__(
            f"Text marks need packages that this machine lacks ({', '.join(packages)}): install them with "
            "`pip install 'cleanplate[text]'`."
        )


class WeightsError(CleanplateError):
    """The root of the errors of weights files."""

    code = "weights_error"


class WeightsMissing(WeightsError):
    """The named weights are not on this machine."""

    code = "weights_missing"


class DownloadFailed(WeightsError):
    """A file did not arrive, also after the retries; the part that arrived is kept."""

    code = "download_failed"

    def __init__(self, address: str, reason: str) -> None:
        name = address.rpartition("/")[2] or "FILE"
        super().__init__(
            f"{address} cannot be fetched: {reason}. Run the same command again to resume; or fetch the file on "
            f"another machine, copy it here, and run `cleanplate weights convert {name}`."
        )


class DownloadUnreachable(DownloadFailed):
    """The server of a file did not answer, or the connection broke off each time."""

    code = "download_unreachable"


class DownloadRefused(DownloadFailed):
    """The server of a file answered with an error."""

    code = "download_refused"


class DiskFull(WeightsError):
    """The disk has too little room for a file and its converted copy; the part that arrived is kept."""

    code = "disk_full"

    def __init__(self, folder: Path, needed: int | None = None) -> None:
        room = "There is no room left" if needed is None else f"There is no room for {needed / 1e6:,.0f} MB"
        super().__init__(f"{room} in {folder}: make room on this disk, then run the same command again to resume.")


class DigestWrong(WeightsError):
    """A file differs from the one that its publisher, or this machine, wrote."""

    code = "digest_wrong"

    def __init__(self, name: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{name} is not the expected file: its digest is {found} instead of {expected}. Do not use it."
        )


class ClientError(CleanplateError):
    """The root of the client's errors."""

    code = "client_error"


class ServiceUnreachable(ClientError):
    """No usable answer, also after the retries."""

    code = "service_unreachable"

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(f"No answer from {origin} ({reason}): is the service running, and is CLEANPLATE_URL right?")


class Refused(ClientError):
    """The service answered with an error; ``code`` is the service's own."""

    def __init__(self, status: int, code: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


class WebhookRefused(ClientError):
    """A post claims to be a webhook of the service, and its signature is wrong or old."""

    code = "webhook_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"This post is not trustworthy: {reason}.")
