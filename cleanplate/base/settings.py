"""Every setting of every process, read from ``CLEANPLATE_…`` variables; the defaults are the embedded service.

Without any variable, ledger, blobs and queue live in one folder (``CLEANPLATE_HOME``); with
``CLEANPLATE_DATABASE_URL``, ``CLEANPLATE_BROKER_URL`` and ``CLEANPLATE_BLOBS_URL`` the same code runs on Postgres,
Redis and S3. ``CLEANPLATE_…_FILE`` names a file that holds the value of a secret.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from cleanplate.base.contradictions import contradictions
from cleanplate.base.home import default_home

MIB = 1024 * 1024
PREFIX = "CLEANPLATE_"
FILE_SUFFIX = "_FILE"
#: Variables that are no settings of the service: the client's, and the one by which a supervisor names a file.
_OTHER_VARIABLES = frozenset(
    f"{PREFIX}{name}" for name in ("URL", "API_KEY", f"API_KEY{FILE_SUFFIX}", f"HEARTBEAT{FILE_SUFFIX}")
)

Item = TypeVar("Item")


def _parse_json_list(value: object) -> object:
    """A variable holds a list as JSON; Python callers pass a sequence."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise ValueError("must be a JSON list") from None


JsonList = Annotated[tuple[Item, ...], BeforeValidator(_parse_json_list)]


class InvalidSettings(Exception):
    """One line per wrong setting, naming the variable."""


class Settings(BaseModel):
    """Settings of the service. Secrets are ``SecretStr`` and never print; URLs that can hold a password are secrets.

    The constructor reads no variable: :func:`load_settings` does.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=default_home,
        description="Folder of the embedded service: ledger, blobs, queue, keys.",
    )

    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where the ledger is: postgresql://user:password@host/name. Empty: SQLite in the home folder.",
    )
    database_pooler: bool = Field(
        default=False,
        description="Whether the database URL leads to a pooler in transaction mode (PgBouncer): statements are not "
        "prepared.",
    )
    broker_url: SecretStr = Field(
        default=SecretStr(""),
        description="Where the queue is: redis://host:6379/0. Empty: a folder in the home folder.",
    )
    blobs_url: str = Field(
        default="",
        description="Where pictures are: s3://bucket or s3://bucket/prefix. Empty: a folder in the home folder.",
    )
    s3_endpoint_url: str = Field(default="", description="Address of an S3 server other than AWS's own.")
    s3_public_endpoint_url: str = Field(
        default="", description="The S3 server's address as clients reach it, for presigned links. Empty: the same."
    )
    s3_region: str = Field(default="us-east-1", description="S3 region.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""), description="S3 access key. Empty: the usual AWS credential chain."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="S3 secret key.")
    s3_timeout_s: float = Field(
        default=120, gt=0, description="Seconds that the S3 server has to send the whole of one object."
    )

    public_url: str = Field(
        default="http://127.0.0.1:8787", description="The API's address as clients reach it, for links in answers."
    )
    host: str = Field(default="127.0.0.1", description="Address that the API binds.")
    port: int = Field(default=8787, ge=0, le=65535, description="Port that the API binds.")
    proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Proxies before the API that each add an address to X-Forwarded-For, by which requests without a "
        "key are counted. 0: the header is ignored.",
    )
    api_workers: int = Field(default=2, ge=1, le=64, description="API processes.")
    api_threads: int = Field(
        default=8, ge=1, le=256, description="Requests that each API process handles at once; others queue."
    )
    api_streams: int = Field(
        default=200,
        ge=1,
        le=4000,
        description="Event streams and long polls that each API process holds beside its requests.",
    )
    api_downloads: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Archives and manifests of whole jobs that each API process sends at once, beside its requests.",
    )
    stream_s: float = Field(
        default=3600, gt=0, description="Seconds after which the API ends an event stream; the client resumes it."
    )
    signing_key: SecretStr = Field(
        default=SecretStr(""),
        description="Signs links to the local blob store and the web page's sessions; at least 32 characters, the same "
        "for all API machines. Empty: generated once and kept in the home folder.",
    )

    audit_key: SecretStr = Field(
        default=SecretStr(""),
        description="Keys the hash chain of the audit log: whoever writes the ledger cannot write the log anew. At "
        "least 32 characters, the same for all dispatchers and for `cleanplate audit verify`. Empty: kept in the "
        "home folder where the ledger is there too, else the chain has no key.",
    )

    operator_tenants: JsonList[str] = Field(
        default=(),
        description="Names of tenants whose keys with the scope admin see and pause all tenants' work at /admin (JSON "
        "list). `cleanplate up` adds its own tenant. Other tenants see and pause their own work.",
    )

    max_image_bytes: int = Field(default=200 * MIB, ge=1, description="Largest picture file accepted, in bytes.")
    max_image_pixels: int = Field(default=100_000_000, ge=1, description="Largest picture accepted, in pixels.")
    max_request_bytes: int = Field(default=64 * MIB, ge=1, description="Largest request body of the job API, in bytes.")
    max_inline_images: int = Field(default=32, ge=1, description="Most pictures sent inside one POST /v1/jobs.")
    max_job_images: int = Field(default=100_000, ge=1, description="Most images in one job.")
    max_manifest_bytes: int = Field(
        default=256 * MIB, ge=1, description="Largest manifest read from the object store, in bytes."
    )
    min_free_bytes: int = Field(
        default=256 * MIB,
        ge=0,
        description="Free bytes on the disk of the embedded ledger and blobs below which /readyz answers 503.",
    )
    upload_expiry_s: int = Field(default=24 * 3600, ge=1, description="Seconds in which an upload must be used.")
    retention_days: int = Field(
        default=30,
        ge=0,
        description="Days that an ended job is kept with its files, unless it states its own. 0: for good.",
    )
    source_timeout_s: float = Field(
        default=60, gt=0, le=600, description="Seconds that the server of a picture's https:// address has to send it."
    )
    source_ports: Annotated[JsonList[int], Field(min_length=1)] = Field(
        default=(443,), description="Ports that a picture's https:// address may name (JSON list)."
    )
    source_allow_private: bool = Field(
        default=False, description="Also fetch pictures from private addresses and over plain http (development)."
    )
    source_buckets: JsonList[str] = Field(
        default=(),
        description="Buckets, or bucket/folder, that every tenant's jobs may read pictures from by s3:// (JSON list).",
    )
    destination_buckets: JsonList[str] = Field(
        default=(),
        description="Buckets, or bucket/folder, into which every tenant's jobs may write results by s3:// (JSON list).",
    )
    models: JsonList[str] = Field(
        default=(),
        description="Names of weights that jobs may choose beside the service's own; workers need them (JSON list).",
    )
    text_marks: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether jobs may use text marks (mask: mode text). `auto`: if this machine has the extra `text`; "
        "`on`: the API relies on the workers, and a worker without the extra does not start.",
    )
    link_expiry_s: int = Field(default=3600, ge=1, description="Seconds for which a presigned link works.")

    rate_limit_per_minute: int = Field(
        default=1200, ge=0, description="Requests a minute for each API key (embedded: in each API process). 0: any."
    )

    shard_size: int = Field(default=32, ge=1, le=1000, description="Most images in one message to a worker.")
    queue_depth: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Minimum queue depth: full shards that the dispatcher keeps published and not leased.",
    )
    queue_s: float = Field(
        default=5,
        gt=0,
        le=3600,
        description="Seconds of work, at the measured rate, that the dispatcher keeps published.",
    )
    lease_s: float = Field(default=20, gt=0, description="Seconds after which a silent worker loses its images.")
    heartbeat_s: float = Field(default=4, gt=0, description="Seconds between a worker's heartbeats in the ledger.")
    hang_s: float = Field(
        default=15, gt=2, description="Seconds without a heartbeat after which a worker's process is replaced."
    )
    stuck_s: float = Field(
        default=240,
        gt=0,
        description="Seconds for one fetch, decoding, pass of the network, encoding or storing; a process that takes "
        "longer is replaced.",
    )
    publish_timeout_s: float = Field(
        default=120, gt=0, description="Seconds after which a published image that no worker leased is published again."
    )
    dispatch_interval_s: float = Field(default=0.5, gt=0, description="Seconds between two rounds of the dispatcher.")
    max_attempts: int = Field(default=3, ge=1, le=100, description="Attempts at an image before it fails.")
    task_time_limit_s: int = Field(
        default=3600, ge=10, description="Seconds after which a worker's process is killed on one shard."
    )

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="The network's device; auto is CUDA where there is a device."
    )
    weights: str = Field(
        default="",
        description="Weights: a file (.safetensors), or a name of `cleanplate weights list`. "
        "Empty: the network that ships.",
    )
    weights_mirror: str = Field(
        default="",
        description="Address of a copy of the published file that `cleanplate weights pull` and the page fetch. The "
        "digest stays the publisher's. Empty: the publisher's own address.",
    )
    torch_threads: int = Field(
        default=0, ge=0, le=1024, description="Threads of the network on a CPU. 0: as many as the process may use."
    )
    coders: int = Field(
        default=-1,
        ge=-1,
        le=1024,
        description="Processes that read and write pictures beside each device's process (Linux). 0: its own threads "
        "do. -1: on a CPU 0, with GPUs their share of the cores.",
    )

    webhook_timeout_s: float = Field(
        default=20, gt=0, le=60, description="Seconds that a webhook's receiver has to answer."
    )
    webhook_schedule_s: Annotated[JsonList[float], Field(min_length=1)] = Field(
        default=(5, 300, 1800, 7200, 18000, 36000, 36000),
        description="Seconds between the attempts at a webhook (JSON list); after the last the delivery fails.",
    )
    webhook_disable_after_s: float = Field(
        default=3 * 24 * 3600,
        ge=0,
        description="Seconds of failures without one success after which a webhook is disabled.",
    )
    webhook_allow_private: bool = Field(
        default=False, description="Also post webhooks to private addresses and over plain http (development)."
    )

    smtp_host: str = Field(default="", description="Server that sends mail at a job's end. Empty: none is sent.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the mail server.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="Encryption of the way to it: begun by STARTTLS, from the first byte (port 465), or none.",
    )
    smtp_user: str = Field(default="", description="User at the mail server. Empty: it asks for none.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
    smtp_sender: str = Field(default="", description="Address that the mails come from.")
    smtp_timeout_s: float = Field(
        default=20, gt=0, le=120, description="Seconds that the mail server has for each of its answers."
    )
    mail_recipients: JsonList[str] = Field(
        default=(),
        description="Addresses that jobs of every tenant may have mailed: whole ones, or all of a domain as "
        "@shop.example (JSON list).",
    )

    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65533,
        description="Port of the API's Prometheus metrics; the dispatcher's is one more, a worker's two more. 0: none.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address that the metrics' ports bind. They need no key."
    )

    tracing: bool = Field(
        default=False,
        description="Send OpenTelemetry spans to the OTLP endpoint that the standard OTEL_ variables name "
        "(needs the extra `tracing`).",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged.")
    log_json: bool = Field(default=True, description="Log lines as JSON; otherwise for people to read.")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        scheme = urlsplit(value.get_secret_value()).scheme
        if value.get_secret_value() and scheme not in {"postgresql", "postgres", "sqlite"}:
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return value

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss"}:
            raise ValueError("must begin with redis:// or rediss://")
        return value

    @field_validator("blobs_url")
    @classmethod
    def _known_blobs(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"s3", "file"} or (parts.scheme == "s3" and not parts.netloc)):
            raise ValueError("must be s3://bucket, s3://bucket/prefix or file:///folder")
        return value

    @field_validator("signing_key", "audit_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @property
    def sqlalchemy_url(self) -> str:
        """The ledger's URL with the driver named."""
        url = self.database_url.get_secret_value()
        if not url:
            return f"sqlite:///{self.home / 'ledger.sqlite3'}"
        scheme, rest = url.split("://", 1)
        if not scheme.startswith("postgres"):
            return url
        if self.database_pooler:
            rest += ("&" if "?" in rest else "?") + "cleanplate_pooler=transaction"
        return f"postgresql+psycopg://{rest}"

    def retention_s(self, days: int | None) -> int | None:
        """Seconds that a job is kept which states this number of days; ``None``: for good."""
        return (days or self.retention_days) * 24 * 3600 or None

    def environment(self) -> dict[str, str]:
        """These settings as ``CLEANPLATE_…`` variables for a child process. Holds secrets: never log it.

        The variables that name files of secrets are empty, because a child gets the values.
        """
        variables = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            text = json.dumps(value) if isinstance(value, bool | tuple) else str(value)
            variables[variable_of(name)] = text
        return variables | dict.fromkeys(_file_variables(), "")

    @property
    def embedded_broker(self) -> bool:
        """Whether the queue is a folder."""
        return not self.broker_url.get_secret_value()


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def load_settings(**given: object) -> Settings:
    """Settings from the environment; ``given`` values win over variables.

    Raises:
        InvalidSettings: with one line per unknown variable, unreadable file, wrong value or contradiction.
    """
    faults = _unknown_variables(os.environ)
    stated, unreadable = _stated(os.environ)
    faults += unreadable
    try:
        settings = Settings.model_validate(stated | given)
    except ValidationError as error:
        for problem in error.errors():
            message = problem["msg"].removeprefix("Value error, ")
            faults.append(f"{variable_of(str(problem['loc'][0]))}: {message[0].lower()}{message[1:]}")
        raise InvalidSettings("\n".join(faults)) from None
    faults += contradictions(settings)
    if faults:
        raise InvalidSettings("\n".join(faults))
    return settings


def _file_variables() -> dict[str, str]:
    """The variables that name files of secrets, and the settings that the files hold."""
    return {
        f"{variable_of(name)}{FILE_SUFFIX}": name
        for name, field in Settings.model_fields.items()
        if field.annotation is SecretStr
    }


def known_variables() -> set[str]:
    """All variables with the prefix that mean something, the client's and the files of secrets among them."""
    return {variable_of(name) for name in Settings.model_fields} | _file_variables().keys() | _OTHER_VARIABLES


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One line for each variable with the prefix that means nothing: it would silently change nothing."""
    known = known_variables()
    faults = []
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        nearest = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        hint = f"did you mean {nearest[0]}?" if nearest else "`cleanplate settings` lists all settings."
        faults.append(f"{name}: there is no such setting; {hint}")
    return faults


def _stated(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The values that variables and files of secrets state, and one line for each file that states none."""
    stated = {
        name: environment[variable_of(name)] for name in Settings.model_fields if variable_of(name) in environment
    }
    faults = []
    for variable, name in _file_variables().items():
        path = environment.get(variable, "")
        if not path:
            continue
        if stated.get(name):
            faults.append(f"{variable}: {variable_of(name)} is set as well; set one of the two.")
            continue
        try:
            stated[name] = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{variable}: the file {path} cannot be read ({_reason(error)}).")
    return stated, faults


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is no text"
