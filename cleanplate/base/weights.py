"""Where weights lie and which are known: the network that ships, published ones, and files in ``<home>/weights``.

``CLEANPLATE_WEIGHTS`` is a file or a name; what it means is decided here and nowhere else. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cleanplate.base.settings import Settings
from cleanplate.errors import WeightsMissing

SUFFIX = ".safetensors"
#: The network in the package; it is used where no weights are named.
SHIPPED = "cleanplate-small"


@dataclass(frozen=True)
class Published:
    """Weights that others publish. ``digest`` is the publisher's: the algorithm, a colon, hexadecimal digits."""

    name: str
    url: str
    digest: str
    source: str
    licence: str

    @property
    def provenance(self) -> str:
        """What the converted file says of where it comes from."""
        return f"{self.source}; {self.url}, {self.digest}"


PUBLISHED = {
    known.name: known
    for known in (
        Published(
            name="big-lama",
            url="https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
            digest="md5:e3aa4aaa15225a33ec84f9f4bc47e500",
            source="the LaMa authors (Suvorov et al., WACV 2022), traced by Sanster",
            licence="Apache-2.0",
        ),
    )
}


def folder(settings: Settings) -> Path:
    """The folder of converted weights."""
    return settings.home.expanduser().absolute() / "weights"


def path_of(settings: Settings, name: str) -> Path:
    """Where the weights of this name lie, or would."""
    return folder(settings) / f"{name}{SUFFIX}"


def kept(settings: Settings) -> list[Path]:
    """The weights files in the home folder, by name."""
    return sorted(path for path in folder(settings).glob(f"*{SUFFIX}") if not path.name.startswith("."))


def find(settings: Settings) -> Path | None:
    """The weights file that ``CLEANPLATE_WEIGHTS`` means; ``None``: the network that ships.

    A name is looked for in the home folder first; anything with a folder or a suffix in it is a file.

    Raises:
        WeightsMissing: nothing is there.
    """
    asked = settings.weights
    if not asked:
        return None
    file = Path(asked).expanduser()
    if file.is_file():
        return file
    if file.name != asked or file.suffix:
        raise WeightsMissing(f"There is no weights file {asked}.")
    converted = path_of(settings, asked)
    if converted.is_file():
        return converted
    if asked == SHIPPED:
        return None
    if asked in PUBLISHED:
        raise WeightsMissing(f"The weights {asked} are not on this machine: run `cleanplate weights pull {asked}`.")
    there = ", ".join(sorted({SHIPPED, *PUBLISHED, *(path.stem for path in kept(settings))}))
    raise WeightsMissing(f"There are no weights {asked!r}: known are {there}, and files.")
