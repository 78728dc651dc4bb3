"""Group D: files in torch's legacy format, whose counts and lengths contradict one another."""

from __future__ import annotations

import io
import tarfile

import hostile
import torch
from cases import READ, REFUSED, Case, written
from hostile import integer, name, pickle, row, table, text
from legacy_files import ONE, TWO, data, keys, legacy, stored, tensor


def _refused(what, content, says, why):
    return Case(what, "D", written("model.pt", lambda: content), REFUSED, says, why)


def _written_by_torch():
    buffer = io.BytesIO()
    state = {"weight": torch.eye(3), "bias": torch.ones(3)}
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _tar():
    """What torch wrote before version 0.2."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for part in ("sys_info", "storages", "tensors", "pickle"):
            packed.addfile(tarfile.TarInfo(part))
    return buffer.getvalue()


_VIEW = stored(view=row(text("1"), integer(2**40), integer(2)))
_CALL = name("os", "system") + row(text("touch marker")) + b"R"

CASES: tuple[Case, ...] = (
    Case("legacy file", "D", written("model.pt", _written_by_torch), READ, "",
         "half of all old checkpoints are one"),
    _refused("legacy count too large", legacy(ONE, keys("0") + data(5)),
             "storage '0' has 5 elements, its pickle says 4", "reads past its buffer"),
    _refused("legacy count too small", legacy(ONE, keys("0") + data(3)),
             "storage '0' has 3 elements, its pickle says 4", "a view outside of its storage"),
    _refused("legacy count negative",
             legacy(hostile.state_dict(a=tensor(stored(numel=-1))), keys("0") + data(-1)),
             "storage '0' has -1 elements in the pickle, expected no negative number",
             "an allocation of 2^64 bytes"),
    _refused("legacy count of 2^60",
             legacy(hostile.state_dict(a=tensor(stored(numel=2**60), shape=(2**60,))),
                    keys("0") + data(2**60)),
             "expected 4611686018427388125 or more", "an allocation of 4 EiB"),
    _refused("legacy storage listed twice", legacy(ONE, keys("0", "0") + data() * 2),
             "lists a storage twice", "the second is written over the first"),
    _refused("legacy storage not listed", legacy(TWO, keys("0") + data()),
             "lists 1 storages behind its pickle, which names 2 others", "numbers from nowhere"),
    _refused("legacy storage nobody names", legacy(ONE, keys("0", "1") + data() * 2),
             "lists 2 storages behind its pickle, which names 1 others", "hides tensors"),
    _refused("legacy file truncated", legacy(ONE, keys("0") + data()[:-1]),
             "ends at byte", "numbers from nowhere"),
    _refused("legacy file truncated in its pickle", legacy(ONE[:-1], b""),
             "in the middle of an opcode or before STOP", "half of a model passes"),
    _refused("legacy file with trailing bytes", legacy(ONE, keys("0") + data() + b"x"),
             "goes on for 1 bytes after its last storage", "a second file is hidden behind"),
    _refused("legacy tar file", _tar(), "is a tar archive", "unpacks where its names lead"),
    _refused("legacy view of a storage",
             legacy(hostile.state_dict(a=tensor(_VIEW)), keys("0") + data()),
             "holds a view of a storage", "torch takes its offset unchecked"),
    _refused("legacy call in the third pickle",
             legacy(ONE, keys("0") + data(),
                    system=pickle(table((text("little_endian"), b"\x88"), (text("x"), _CALL)))),
             "os.system", "runs before the tensors are looked at"),
    _refused("legacy call in the list of storages",
             legacy(ONE, pickle(_CALL) + data()),
             "its list of storages is not a list of names", "runs behind the tensors"),
)  # fmt: skip
