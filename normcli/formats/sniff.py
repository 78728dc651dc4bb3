"""What kind of file the first bytes show; a suffix is never asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.errors import CheckpointError

if TYPE_CHECKING:
    from normcli.formats.source import Source

_HEAD = 512  # bytes: a tar header, the longest thing that is looked at

# The reader of an index; what its shards are is seen when they are opened.
INDEX = "sharded-safetensors"

# torch's magic number as protocol 2 pickles it: what torch.save wrote before version 1.6.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

# First bytes of files that people take for checkpoints → what they are, and what helps.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is a git-lfs pointer, not the file it stands for",
        "run git lfs pull",
    ),
    (b"\x1f\x8b", "is compressed with gzip", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unpack it first"),
    (b"\xfd7zXZ\x00", "is compressed with xz", "unpack it first"),
    (b"BZh", "is compressed with bzip2", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", "unpack it first"),
    (b"GGUF", "is a GGUF file, which normcli does not read", "give the checkpoint it was made of"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (Keras), which normcli does not read", ""),
    (b"\x93NUMPY", "is a numpy array, which normcli does not read", "save it with safetensors"),
    (b"PK\x05\x06", "is an empty zip archive", ""),
)


def kind_of(source: Source, *, shard: bool = False) -> str:
    """The name of the reader; a shard cannot be an index in turn.

    Raises:
        CheckpointError: It is not a checkpoint, with what it seems to be.
    """
    if source.size == 0:
        raise CheckpointError("is empty", hint="the download or the write that made it failed")
    head = source.read(0, min(_HEAD, source.size))
    if head.startswith(b"PK\x03\x04"):
        return "torch-zip"
    if head.startswith(LEGACY_MAGIC):
        return "torch-legacy"
    for magic, what, hint in _OTHERS:
        if head.startswith(magic):
            raise CheckpointError(what, hint=hint)
    if head[8:9] == b"{":
        return "safetensors"
    if head.lstrip().startswith((b"{", b"[")):
        if shard:
            raise CheckpointError("is an index, expected a shard")
        return INDEX
    raise _not_a_checkpoint(head, source.size)


def _not_a_checkpoint(head: bytes, size: int) -> CheckpointError:
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return CheckpointError(
            "is a web page, not a checkpoint", hint="does the link need a login?"
        )
    if head[257:262] == b"ustar":
        hint = "unpack it; torch's tar format of before version 0.2 is not read either"
        return CheckpointError("is a tar archive", hint=hint)
    if head[:1] == b"\x08" and head[2:3] == b"\x12":  # ir_version, then the producer's name
        return CheckpointError("looks like an ONNX file, which normcli does not read")
    what = f"is not a checkpoint: its {size} bytes start with {head[:8].hex(' ')}"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        what = "is a pickle that torch.save did not write"
    return CheckpointError(
        what, hint="normcli reads safetensors files and files written by torch.save"
    )
