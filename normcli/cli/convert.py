"""`normcli convert`: the same norms under other keys, or the same tensors in another format."""

from functools import partial
from typing import Annotated

import typer

from normcli.cli import arguments
from normcli.cli.writer import Rewrite, writer
from normcli.cli.writing import WRITE, Writing
from normcli.errors import UsageError

EXAMPLES = """\
normcli convert model.pt -o model.safetensors
normcli convert old.pt --layout parametrized -o new.pt
normcli convert gan.pt --include 'D/*' --layout legacy -o gan-legacy.pt
normcli convert large.safetensors --max-shard-size 5GB -o large/
normcli convert model.pt -o model.safetensors --drop-opaque --dry-run
"""

LAYOUTS = ("parametrized", "legacy")

_NORM = "The norm"

Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help=f"Spelling of the keys of norms: {', '.join(LAYOUTS)}. Default: as it is.",
        rich_help_panel=_NORM,
    ),
]
MaxShardSize = Annotated[
    str | None,
    typer.Option(
        "--max-shard-size",
        metavar="SIZE",
        help="Write a folder of shards with so many bytes each: 5GB, 512MiB.",
        rich_help_panel=WRITE,
    ),
]


@writer
def convert(
    writing: Writing, *, layout: Layout = None, max_shard_size: MaxShardSize = None
) -> Rewrite:
    """Respell norm states (legacy or parametrized keys) and change the format (.pt, .safetensors).

    No number changes: the model computes what it did, bit for bit.
    """
    if layout is not None:
        arguments.one_of(layout, LAYOUTS, what="layout", where="--layout")
    if writing.output is None and not writing.in_place:
        hint = "its suffix is the format: -o model.safetensors"
        raise UsageError("missing, expected the checkpoint to write", where="--output", hint=hint)
    shard = None if max_shard_size is None else arguments.size(max_shard_size, "--max-shard-size")

    from normcli.commands.convert import convert as rewrite

    return partial(rewrite, layout=layout, max_shard_size=shard)
