"""The one error tree of ``cleanplate``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    CleanplateError
    ├── UsageError            what was asked of the command line cannot be done
    ├── EmbeddedError         ``cleanplate up`` cannot begin or go on
    │   ├── HomeInUse
    │   ├── HomeOpen
    │   ├── PortInUse
    │   └── NotReady
    ├── TextMarksMissing      what finds text marks is not installed here
    ├── WeightsError          weights are not here, or did not arrive
    │   ├── WeightsMissing
    │   ├── DownloadFailed
    │   └── DigestWrong
    └── ClientError           the service was not reached, or refused
        ├── ServiceUnreachable
        ├── Refused
        └── WebhookRefused     a post is not from the service
"""

from __future__ import annotations

from pathlib import Path


class CleanplateError(Exception):
    """The root: anything that the command line, the client or the embedded service refuses."""

    code = "cleanplate_error"


class UsageError(CleanplateError):
    """What was asked of the command line cannot be done; the sentence says why."""

    code = "usage"


class EmbeddedError(CleanplateError):
    """The embedded service cannot begin or go on."""

    code = "embedded_error"


class HomeInUse(EmbeddedError):
    """Another ``up`` runs on this home folder."""

    code = "home_in_use"

    def __init__(self, home: Path) -> None:
        super().__init__(f"Cleanplate already runs on {home}: stop it first, or choose another folder with --home.")


class HomeOpen(EmbeddedError):
    """The home folder is something else than a Cleanplate home, and other users can read it."""

    code = "home_open"

    def __init__(self, home: Path) -> None:
        super().__init__(f"{home} holds other files and other users can read it: choose an empty or a new folder.")


class PortInUse(EmbeddedError):
    """Something else listens where the API should."""

    code = "port_in_use"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"Port {port} of {host} is in use: choose another with --port (0 finds a free one).")


class NotReady(EmbeddedError):
    """The service did not become ready in time."""

    code = "not_ready"

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(f"The service was not ready after {seconds:.0f} seconds: {reason}.")


class TextMarksMissing(CleanplateError):
    """What finds text marks is not installed on this machine."""

    code = "text_marks_missing"

    def __init__(self, packages: list[str]) -> None:
        super().__init__(
            f"Text marks need packages that are missing here ({', '.join(packages)}): install them with "
            "`pip install 'cleanplate[text]'`."
        )


class WeightsError(CleanplateError):
    """The root of what is wrong with getting weights."""

    code = "weights_error"


class WeightsMissing(WeightsError):
    """The weights that were named are not on this machine."""

    code = "weights_missing"


class DownloadFailed(WeightsError):
    """A file did not arrive, also after the retries; what did is kept."""

    code = "download_failed"

    def __init__(self, address: str, reason: str) -> None:
        name = address.rpartition("/")[2] or "FILE"
        super().__init__(
            f"{address} cannot be fetched: {reason}. Run the same command again to go on; or fetch the file on a "
            f"machine that can, bring it here, and run `cleanplate weights convert {name}`."
        )


class DigestWrong(WeightsError):
    """A file is not the one that its publisher, or this machine, wrote."""

    code = "digest_wrong"

    def __init__(self, what: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"{what} is not the file it should be: its digest is {found} instead of {expected}. Do not use it."
        )


class ClientError(CleanplateError):
    """The root of what the client raises."""

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
    """A post that claims to be a webhook of the service is not, or was changed, or is old."""

    code = "webhook_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"This post is not to be believed: {reason}.")
