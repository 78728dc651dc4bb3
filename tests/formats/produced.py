"""A blueprint written to disk, its promises about sizes and order held."""

from __future__ import annotations

from normcli.formats import blueprint, open_checkpoint
from normcli.formats.writers.draft import Draft


def write_file(planned, path, made=None):
    """Write the only file of a blueprint and give its checksums."""
    (file,) = planned.files
    return _write(file, path, made or {})


def write_folder(planned, folder, made=None):
    """Write all files of a blueprint and give the checksums of all."""
    folder.mkdir(exist_ok=True)
    checksums = {}
    for file in planned.files:
        assert file.name
        checksums.update(_write(file, folder / file.name, made or {}))
    return checksums


def _write(file, path, made):
    asked = []

    def give(name):
        asked.append(name)
        return made[name]

    with path.open("wb", buffering=0) as out:
        checksums = file.write(out, give)
    assert path.stat().st_size == file.nbytes
    assert tuple(asked) == file.order
    return checksums


def converted(source, target, output_format="safetensors", *, made=None, **draft):
    """Write `source` as `target` with a draft, and give the blueprint."""
    with open_checkpoint(source, allow_opaque=True) as checkpoint:
        planned = blueprint(checkpoint, Draft(**draft), output_format)
        write = write_file if output_format == "safetensors" else write_folder
        write(planned, target, made)
    return planned
