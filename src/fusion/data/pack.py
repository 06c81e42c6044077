"""One file for all bags of a folder, a safetensors file of plain numbers that is mapped into memory, never loaded.

Dimension key: B bags, N patches of a bag, R patches of all bags, D features of a patch.

The tensors are `features` "R D", `coords` "R 2" (NaN where a bag tells no places) and `offsets` "B+1". The header is
written last and has a room of fixed size before them, so that bags are written one by one as they are read.
"""

import json
import math
import mmap
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped
from numpy.typing import NDArray

from fusion.data.bags import read_bag
from fusion.data.precision import STORED, narrowed, widened

#: Names of the types in a safetensors file.
TYPE_NAMES = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}

#: Raised with every change of what is written.
VERSION = "fusion bags 1"

#: Features begin at a page of memory.
PAGE = 4096

#: Bytes checked at a time.
BLOCK = 1 << 24


class PackError(Exception):
    """A pack that cannot be made, or must not be read; the message says why."""


class PackedBags:
    """The bags of a pack, addressed by sample; a page of the file is read when a patch on it is asked for.

    Raises:
        PackError: The file is cut, damaged, of another version, or of other sources.
    """

    def __init__(self, path: Path, *, key: str, sample_ids: Sequence[str], check_all: bool) -> None:
        """Map a pack.

        Args:
            path: The file.
            key: What its sources are known by.
            sample_ids: The samples it must hold, in order.
            check_all: Whether to read the whole file once and compare its checksum.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._read_header(key)
        except Exception as error:  # an empty file cannot be mapped, and a header of rubbish fails in many ways
            raise PackError(f"{path.name}: {str(error) or type(error).__name__}") from error
        if self._names != list(sample_ids):
            raise PackError(f"{path.name}: other samples")
        if check_all and _checksum(self._map, self._begin) != self._crc:
            raise PackError(f"{path.name}: bytes that do not fit their checksum")
        self._place = {sample: place for place, sample in enumerate(self._names)}

    def _read_header(self, key: str) -> None:
        self._begin = 8 + int.from_bytes(self._map[:8], "little")
        text = self._map[8 : self._begin].rstrip()
        header = json.loads(text)
        self._names = json.loads(header["__metadata__"]["names"])
        self._crc = int(header["__metadata__"]["crc32"], 16)
        precision = next(name for name, said in TYPE_NAMES.items() if said == header["features"]["dtype"])
        rows, width = header["features"]["shape"]
        if text != _header(self._names, rows, width, precision, key, self._crc):
            raise ValueError("made by another version, or of other files")
        if len(self._map) != self._begin + header["offsets"]["data_offsets"][1]:
            raise ValueError("a file that was cut")
        self._features = self._tensor(header["features"], STORED[precision])
        self._coords = self._tensor(header["coords"], np.dtype("<f8"))
        self._offsets = self._tensor(header["offsets"], np.dtype("<i8")).tolist()
        if self._offsets[-1] != rows or min(np.diff(self._offsets), default=0) < 0:
            raise ValueError("offsets that do not fit")

    def _tensor(self, told: Mapping[str, Any], dtype: np.dtype) -> NDArray[Any]:
        start = self._begin + told["data_offsets"][0]
        return np.frombuffer(self._map, dtype, math.prod(told["shape"]), start).reshape(told["shape"])

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The samples, in the order of the file."""
        return tuple(self._names)

    @property
    def dim(self) -> int:
        """Features of a patch."""
        return int(self._features.shape[1])

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._place

    def num_patches(self, sample_id: str) -> int:
        """Patches of a bag; nothing is read."""
        place = self._place[sample_id]
        return self._offsets[place + 1] - self._offsets[place]

    def features(self, sample_id: str, rows: Int64[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "n D"]:
        """Features of a bag, or of these of its patches.

        Half and single precision of a whole bag are a view of the file and cost nothing until they are used; chosen
        patches are copied, and nothing else is read; bfloat16 becomes single precision.
        """
        return widened(self._of(self._features, sample_id, rows))

    def coords(self, sample_id: str, rows: Int64[np.ndarray, " n"] | None = None) -> Float64[np.ndarray, "n 2"] | None:
        """Place of each patch on the slide; None where the bag told none."""
        places = self._of(self._coords, sample_id, rows)
        return None if np.isnan(places).all() and len(places) else places

    def _of(
        self, values: Shaped[np.ndarray, "R W"], sample_id: str, rows: Int64[np.ndarray, " n"] | None
    ) -> Shaped[np.ndarray, "n W"]:
        place = self._place[sample_id]
        bag = values[self._offsets[place] : self._offsets[place + 1]]
        return bag if rows is None else bag[rows]


def write_pack(path: Path, sources: Sequence[Path], precision: str, key: str) -> str:
    """Read bags one by one and write them end to end into a new file, down to the disk.

    Args:
        path: The file; what it held is lost.
        sources: One bag per sample, named by the sample.
        precision: One of `STORED`. A bag beyond half precision turns all of a pack in `fp16` to `fp32`, in which the
            other bags keep the values that half precision gave them: the numbers do not depend on the neighbours.
        key: What the sources are known by.

    Returns:
        The precision in which the features lie.

    Raises:
        PackError: The bags differ in width.
        CohortError: A bag cannot be read.
        OSError: The file cannot be written.
    """
    try:
        _write(path, sources, precision, precision, key)
    except _BeyondHalf:
        _write(path, sources, precision, "fp32", key)
        return "fp32"
    return precision


class _BeyondHalf(Exception):
    """A bag does not fit half precision."""


def _write(path: Path, sources: Sequence[Path], precision: str, stored: str, key: str) -> None:
    names = [source.stem for source in sources]
    room = -(-(8 + len(_header(names, 1 << 62, 1 << 62, stored, key, 1 << 31))) // PAGE) * PAGE
    offsets, width, crc = [0], None, 0
    coords: list[NDArray[np.float64]] = []
    with path.open("wb") as file:
        file.seek(room)
        for source in sources:
            bag = read_bag(source)
            kept = narrowed(bag.features, precision)
            if kept.dtype != STORED[precision] and stored == precision:
                raise _BeyondHalf
            if width not in (None, kept.shape[1]):
                raise PackError(f"{source.name} has {kept.shape[1]} features per patch, others have {width}")
            width = kept.shape[1]
            data = np.ascontiguousarray(kept, dtype=STORED[stored]).data.cast("B") if kept.size else b""
            crc = zlib.crc32(data, crc)
            file.write(data)
            offsets.append(offsets[-1] + len(kept))
            coords.append(np.full((len(kept), 2), np.nan) if bag.coords is None else bag.coords)
        places = np.concatenate([np.empty((0, 2)), *coords]).astype("<f8")
        for tail in (places.tobytes(), np.array(offsets, dtype="<i8").tobytes()):
            crc = zlib.crc32(tail, crc)
            file.write(tail)
        header = _header(names, offsets[-1], width or 0, stored, key, crc)
        file.seek(0)
        file.write((room - 8).to_bytes(8, "little") + header.ljust(room - 8))
        file.flush()
        os.fsync(file.fileno())


def _header(names: Sequence[str], rows: int, width: int, precision: str, key: str, crc: int) -> bytes:
    """The JSON that a safetensors file begins with."""
    facts = {"format": VERSION, "key": key, "names": json.dumps(list(names)), "crc32": f"{crc:08x}"}
    header: dict[str, object] = {"__metadata__": facts}
    end = 0
    for name, said, shape, size in (
        ("features", TYPE_NAMES[precision], [rows, width], STORED[precision].itemsize),
        ("coords", "F64", [rows, 2], 8),
        ("offsets", "I64", [len(names) + 1], 8),
    ):
        start, end = end, end + size * math.prod(shape)
        header[name] = {"dtype": said, "shape": shape, "data_offsets": [start, end]}
    return json.dumps(header).encode()


def _checksum(data: mmap.mmap, begin: int) -> int:
    crc = 0
    for start in range(begin, len(data), BLOCK):
        crc = zlib.crc32(data[start : start + BLOCK], crc)
    return crc
