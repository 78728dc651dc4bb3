"""`normcli baseline`: the norms of checkpoints in a file that `normcli check` compares with."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normcli.cli import arguments, products
from normcli.cli.files import refuse
from normcli.cli.measuring import Dims, Seed
from normcli.cli.messages import Voice
from normcli.cli.options import (
    AllowOpaque,
    BudgetScale,
    Color,
    Config,
    Debug,
    Device,
    Exclude,
    Include,
    Jobs,
    Memory,
    NoConfig,
    Paths,
    Quiet,
    ShowProgress,
    Verbose,
)
from normcli.cli.paths import each
from normcli.cli.progress import progress
from normcli.cli.screen import page_on
from normcli.errors import OutputError, UsageError
from normcli.records import BASELINE_NAME
from normcli.render.escape import escaped
from normcli.render.numbers import count, counted

if TYPE_CHECKING:
    from normcli.commands.baseline import Kept, Survey

PANEL = "The baseline"
EXAMPLES: Mapping[str, str] = {
    "write": """\
normcli baseline write gan.pt vocoder.safetensors
normcli baseline write runs/best.pt --include 'D/*'
normcli baseline write model.pt --baseline ci/model.json
normcli baseline write *.pt --force            all anew
""",
    "update": """\
normcli baseline update gan.pt                  every line of gan.pt
normcli baseline update gan.pt --include 'D/*'  these lines and no others
git diff normcli-baseline.json                  what has become of the norms
""",
}

File = Annotated[
    str,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help=f"The file. Default: {BASELINE_NAME} in the working directory.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--force", help="Replace a file that exists.", rich_help_panel=PANEL),
]


def write(
    paths: Paths,
    *,
    baseline: File = BASELINE_NAME,
    force: Replace = False,
    include: Include = None,
    exclude: Exclude = None,
    seed: Seed = 0,
    dims: Dims = None,
    jobs: Jobs = None,
    memory: Memory = None,
    device: Device = "cpu",
    allow_opaque: AllowOpaque = False,
    budget_scale: BudgetScale = 1.0,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    show_progress: ShowProgress = True,
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Record the norms of some checkpoints in a new baseline.

    A path that cannot be read is an error, and nothing is written then.
    """
    del no_config  # its callback has acted
    voice = _voice(color, config, debug=debug, quiet=quiet, verbose=verbose)
    _refuse(baseline, paths, force=force)
    options = _options(
        include=include,
        exclude=exclude,
        dims=dims,
        memory=memory,
        device=device,
        seed=seed,
        jobs=jobs,
        allow_opaque=allow_opaque,
        budget_scale=budget_scale,
    )
    found = _surveys(paths, options, voice, show_progress=show_progress)
    if len(found) < len(paths):
        return 2

    from normcli.commands.baseline import write as keep

    return _told(keep(found, baseline=baseline, force=force), found, voice)


def update(
    paths: Paths,
    *,
    baseline: File = BASELINE_NAME,
    include: Include = None,
    exclude: Exclude = None,
    seed: Seed = 0,
    dims: Dims = None,
    jobs: Jobs = None,
    memory: Memory = None,
    device: Device = "cpu",
    allow_opaque: AllowOpaque = False,
    budget_scale: BudgetScale = 1.0,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    show_progress: ShowProgress = True,
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Record the norms of some checkpoints anew; every other line stays as it is.

    With --include and --exclude only these lines change. Weights that are gone leave it.
    """
    del no_config  # its callback has acted
    voice = _voice(color, config, debug=debug, quiet=quiet, verbose=verbose)
    _refuse(baseline, paths, force=True)

    from normcli.gate.baseline import read_baseline

    read_baseline(baseline)  # an error of it comes before anything is measured
    options = _options(
        include=include,
        exclude=exclude,
        dims=dims,
        memory=memory,
        device=device,
        seed=seed,
        jobs=jobs,
        allow_opaque=allow_opaque,
        budget_scale=budget_scale,
    )
    found = _surveys(paths, options, voice, show_progress=show_progress)
    if len(found) < len(paths):
        return 2

    from normcli.commands.baseline import update as keep

    return _told(keep(found, baseline=baseline), found, voice)


def _voice(color: str, config: str | None, *, debug: bool, quiet: bool, verbose: bool) -> Voice:
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    return voice


def _refuse(baseline: str, paths: list[str], *, force: bool) -> None:
    """Say no before anything is measured."""
    if baseline in ("", "-"):
        raise UsageError("a baseline is a file", where="--baseline")
    if os.path.lexists(baseline) and not force:
        hint = "normcli baseline update changes it; --force replaces it"
        raise OutputError("exists", where=baseline, hint=hint)
    refuse(Path(baseline), force=force, inputs=paths)


def _options(
    *,
    include: list[str] | None,
    exclude: list[str] | None,
    dims: list[str] | None,
    memory: str | None,
    device: str,
    **as_given: object,
) -> dict[str, Any]:
    """What the library is asked for."""
    return {
        "include": include or (),
        "exclude": exclude or (),
        "dims": arguments.axes(dims or ()),
        "memory": None if memory is None else arguments.size(memory),
        "device": arguments.device(device),
        **as_given,
    }


def _surveys(
    paths: list[str], options: Mapping[str, Any], voice: Voice, *, show_progress: bool
) -> list["Survey"]:
    """One of each path; shorter where some were refused, each with an error."""
    from normcli.commands.baseline import distinct, survey

    distinct(paths)
    with progress(shown=show_progress and not voice.quiet, color=voice.color) as bar:
        found = each(paths, lambda path: survey(path, observe=bar(path), **options), voice)
    if len(found) < len(paths):
        voice.note("nothing was written: the baseline would lack what could not be read")
    return found


def _told(kept: "Kept", surveys: list["Survey"], voice: Voice) -> int:
    """Tell of a baseline: what there is to say on standard error, then its path; the exit code."""
    for taken in surveys:
        for note in (*taken.report.notes, *_numberless(taken)):
            voice.note(f"{taken.report.path}: {note}")
    if sys.stderr is not None:
        line = page_on(sys.stderr, color=voice.color).spelled(_summary(kept))
        voice.show(f"{line}\n")
    products.put_path(kept.path)
    return 0


def _numberless(survey: "Survey") -> list[str]:
    lost = sum(weight.frobenius is None for weight in survey.report.measurements)
    if not lost:
        return []
    return [f"{counted(lost, 'weight')} without numbers: only shape, dtype and state are recorded"]


def _summary(kept: "Kept") -> str:
    """`wrote normcli-baseline.json · 2 checkpoints, 14 weights · 3 changed, 1 new, 0 gone`."""
    path = escaped(kept.path)
    parts = [
        f"wrote {path}" if kept.written else f"left {path} as it was",
        f"{counted(kept.checkpoints, 'checkpoint')}, {counted(kept.weights, 'weight')}",
        f"{count(kept.changed)} changed, {count(kept.new)} new, {count(kept.gone)} gone",
    ]
    return " · ".join(parts)
