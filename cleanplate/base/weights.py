"""Known weights and their files: the network that ships, published ones, and files in ``<home>/weights``.

``CLEANPLATE_WEIGHTS`` is a file or a name; only this module resolves it. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cleanplate.base.settings import Settings
from cleanplate.errors import WeightsMissing

SUFFIX = ".safetensors"
#: The network in the package; the default.
SHIPPED = "cleanplate-small"
#: The large network, which the page and ``cleanplate up`` offer.
LARGE = "big-lama"


@dataclass(frozen=True)
class Published:
    """Weights of another project. ``digest`` is its publisher's: the algorithm, a colon, hexadecimal digits."""

    name: str
    url: str
    digest: str
    source: str
    licence: str
    #: Size of the file in megabytes, about.
    megabytes: int = 0

    @property
    def provenance(self) -> str:
        """The source that the converted file states."""
        return f"{self.source}; {self.url}, {self.digest}"


PUBLISHED = {
    known.name: known
    for known in (
        Published(
            name=LARGE,
            url="https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
            digest="md5:e3aa4aaa15225a33ec84f9f4bc47e500",
            source="the LaMa authors (Suvorov et al., WACV 2022), traced by Sanster",
            licence="Apache-2.0",
            megabytes=200,
        ),
    )
}


def folder(settings: Settings) -> Path:
    """The folder of converted weights."""
    return settings.home.expanduser().absolute() / "weights"


def path_of(settings: Settings, name: str) -> Path:
    """The path of the weights of this name, whether the file exists or not."""
    return folder(settings) / f"{name}{SUFFIX}"


def kept(settings: Settings) -> list[Path]:
    """The weights files in the home folder, by name."""
    return sorted(path for path in folder(settings).glob(f"*{SUFFIX}") if not path.name.startswith("."))


def find(settings: Settings) -> Path | None:
    """The weights file that ``CLEANPLATE_WEIGHTS`` names; ``None``: the network that ships.

    A name stands for a file in the home folder first; a value with a folder or a suffix is a file.

    Raises:
        WeightsMissing: there is no such file.
    """
    value = settings.weights
    if not value:
        return None
    file = Path(value).expanduser()
    if file.is_file():
        return file
    if file.name != value or file.suffix:
        raise WeightsMissing(f"There is no weights file {value}.")
    converted = path_of(settings, value)
    if converted.is_file():
        return converted
    if value == SHIPPED:
        return None
    if value in PUBLISHED:
        raise WeightsMissing(f"The weights {value} are not on this machine: run `cleanplate weights pull {value}`.")
    known = ", ".join(sorted({SHIPPED, *PUBLISHED, *(path.stem for path in kept(settings))}))
    raise WeightsMissing(f"There are no weights {value!r}: known are {known}, and files.")
