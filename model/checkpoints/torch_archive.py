"""Zip archives of torch (checkpoints and TorchScript): their pickle, and their tensors as views of the mapped file.

torch stores these entries uncompressed, so none can be larger than the file: an archive that states otherwise is
refused before an entry is read.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoints.tensor_pickle import PickledStorage, PickledTensor, read_pickle
from model.errors import WeightsRejected

ZIP = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
#: A pickle of names and shapes; that of big-lama has 0.3 MB.
_MOST_PICKLE_BYTES = 64 * 1024 * 1024
_KINDS = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
}


class TorchArchive:
    """An open archive. Its tensors keep the file mapped, copy on write, for as long as they live.

    Raises, from every method:
        WeightsRejected: ``weights_unreadable``: not such an archive, truncated, or with false sizes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
            raise self._rejected(f"it is cut off or damaged ({error})") from None
        pickles = [name for name in self._entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise self._rejected("the archive holds no data.pkl")
        self._root = pickles[0].removesuffix("data.pkl")
        whole = sum(entry.file_size for name, entry in self._entries.items() if name.startswith(f"{self._root}data"))
        if whole > len(self._bytes):
            raise self._rejected(f"its entries claim {whole:,} bytes, more than the file has")
        if f"{self._root}byteorder" in self._entries and self._read("byteorder", most=16) != b"little":
            raise self._rejected("its numbers are big-endian: load and save it with torch on this machine first")

    def content(self) -> object:
        """The content of the pickle, with :class:`PickledTensor` for tensors."""
        try:
            return read_pickle(self._read("data.pkl", most=_MOST_PICKLE_BYTES))
        except ValueError as error:
            raise self._rejected(f"its pickle is not one of torch: {error}") from None

    def tensor(self, pickled: PickledTensor) -> Tensor:
        """A view of the file."""
        flat = self._storage(pickled.storage)
        return flat.as_strided(pickled.shape, pickled.stride, pickled.offset)

    def _storage(self, storage: PickledStorage) -> Tensor:
        if storage.kind not in _KINDS:
            raise self._rejected(f"it has numbers of the unknown kind {storage.kind}")
        dtype = _KINDS[storage.kind]
        begin, size = self._place(f"data/{storage.key}")
        if size != storage.numel * dtype.itemsize:
            raise self._rejected(f"its entry data/{storage.key} has not the size that its tensors need")
        if not size:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(self._bytes, dtype=dtype, count=storage.numel, offset=begin)

    def _read(self, name: str, *, most: int) -> bytes:
        begin, size = self._place(name)
        if size > most:
            raise self._rejected(f"its entry {name} has {size:,} bytes")
        return self._bytes[begin : begin + size]

    def _place(self, name: str) -> tuple[int, int]:
        """Start and length of an entry's bytes."""
        entry = self._entries.get(self._root + name)
        if entry is None:
            raise self._rejected(f"its entry {name} is missing")
        header = self._bytes[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size or not header.startswith(ZIP):
            raise self._rejected(f"its entry {name} is damaged")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        begin = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise self._rejected(f"its entry {name} is compressed, which torch never does")
        if begin + entry.file_size > len(self._bytes):
            raise self._rejected(f"its entry {name} reaches beyond the end of the file")
        return begin, entry.file_size

    def _rejected(self, reason: str) -> WeightsRejected:
        return WeightsRejected("weights_unreadable", f"{self._path} is not a checkpoint that can be read: {reason}.")
