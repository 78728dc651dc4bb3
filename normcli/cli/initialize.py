"""`normcli initialize`: a checkpoint whose layers give mean 0, standard deviation 1 on a batch."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from normcli.cli import arguments
from normcli.cli.files import refuse_inputs
from normcli.cli.guest_output import on_standard_error
from normcli.cli.writer import Rewrite, writer
from normcli.cli.writing import Writing
from normcli.errors import UsageError

EXAMPLES = """\
normcli initialize new.pt --model nets:Generator --batch x.npy
normcli initialize new.pt --model nets:build --model-args '[64]' --batch x.npy
normcli initialize gan.pt --section G --model nets:Generator --batch z.npy
normcli initialize new.pt --model nets:Net --batch x.npy --layout legacy
normcli initialize ddp.pt --prefix module. --model nets:Net --batch x.npy
"""

LAYOUTS = ("legacy", "parametrized", "plain")

_MODEL_HINT = "a function or a class of yours that gives a torch.nn.Module: --model nets:Generator"
_BATCH_HINT = "tensors by the names of forward's arguments: --batch batch.safetensors"
_MODEL, _NORM = "The model, and what it is run on", "The norm"

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODULE:FACTORY",
        help="What builds the model, a function or a class; modules are looked for in the working "
        "directory first. Required, and run.",
        rich_help_panel=_MODEL,
    ),
]
ModelArgs = Annotated[
    str | None,
    typer.Option(
        "--model-args",
        metavar="JSON",
        help="What it is called with: {...} for keywords, [...] for positional arguments.",
        rich_help_panel=_MODEL,
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="FILE",
        help="What the model is run on: a .safetensors file with the arguments of forward by name, "
        "or one tensor called input; or an .npy file. Required.",
        rich_help_panel=_MODEL,
    ),
]
Section = Annotated[
    str | None,
    typer.Option(
        "--section",
        metavar="NAME",
        help="Which state dict is the model's, in a file that holds several.",
        rich_help_panel=_MODEL,
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        help="What stands before the model's keys in the file, such as 'module.'.",
        show_default=False,
        rich_help_panel=_MODEL,
    ),
]
Train = Annotated[
    bool,
    typer.Option(
        "--train",
        help="Run the model in training mode: dropout, batch statistics. Default: evaluation mode.",
        rich_help_panel=_MODEL,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Of the random numbers that the model draws. Default: 0.",
        show_default=False,
        rich_help_panel=_MODEL,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="How the weights are stored: under a weight norm with legacy or parametrized keys, or "
        "plain. Default: each as it is.",
        rich_help_panel=_NORM,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="A layer that cannot be initialized is an error; it is left as it is otherwise.",
        rich_help_panel=_NORM,
    ),
]


@writer
def initialize(
    writing: Writing,
    *,
    model: Model = None,
    model_args: ModelArgs = None,
    batch: Batch = None,
    section: Section = None,
    prefix: Prefix = "",
    train: Train = False,
    seed: Seed = 0,
    layout: Layout = None,
    strict: Strict = False,
) -> Rewrite:
    """Write a checkpoint whose layers give mean 0, std 1 on a batch: NAME.initialized.SUFFIX.

    Layer by layer, in the order in which the model runs them, weight and bias are scaled and
    shifted for each unit of the output (Salimans and Kingma 2016).

    This is the only command that runs code: the module that --model names, in this process, with
    your rights. What it prints goes to standard error. Nothing from the checkpoint or from the
    batch is ever run.
    """
    spec = _required(model, "--model", "MODULE:FACTORY, what builds the model", _MODEL_HINT)
    file = _required(batch, "--batch", "the file that the model is run on", _BATCH_HINT)
    if layout is not None:
        arguments.one_of(layout, LAYOUTS, what="layout", where="--layout")
    for product in (writing.output, writing.receipt):
        if product is not None:
            refuse_inputs(Path(product), [file])

    from normcli.initialization.arguments import arguments_of

    given = () if model_args is None else arguments_of(model_args)

    from normcli.commands.initialize_checkpoint import initialize_checkpoint

    rewrite = partial(
        initialize_checkpoint,
        model=spec,
        model_args=given,
        batch=file,
        section=section,
        prefix=prefix,
        training=train,
        seed=seed,
        layout=layout,
        strict=strict,
    )
    return on_standard_error()(rewrite)


def _required(value: str | None, option: str, what: str, hint: str) -> str:
    if not value:
        raise UsageError(f"missing, expected {what}", where=option, hint=hint)
    return value
