"""`normcli inspect`: every weight of some checkpoints, measured."""

import time
from functools import partial
from typing import TYPE_CHECKING

from normcli import __version__
from normcli.cli import arguments, products
from normcli.cli.measuring import (
    Certificate,
    Dims,
    FailureProbability,
    Metrics,
    PowerIterations,
    Rtol,
    Seed,
)
from normcli.cli.messages import Voice
from normcli.cli.options import (
    AllowOpaque,
    BudgetScale,
    Color,
    Columns,
    Config,
    Debug,
    Device,
    Everything,
    Exclude,
    ExpectSha256,
    Force,
    Format,
    Include,
    Jobs,
    Limit,
    Memory,
    NoConfig,
    Output,
    Paths,
    Quiet,
    Reports,
    ShowProgress,
    Sort,
    Verbose,
)
from normcli.cli.paths import each, exit_code
from normcli.cli.progress import progress
from normcli.render.document import Order
from normcli.render.jsonl import measured_line
from normcli.render.measured import REPORT, report_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from normcli.cli.progress import Observe
    from normcli.commands.progress import Progress
    from normcli.records import Measurement

    Watch: TypeAlias = Callable[[str], Callable[[Measurement, Progress], None]]

EXAMPLES = """\
normcli inspect model.safetensors
normcli inspect gan.pt --include 'D/*' --sort spectral_norm:desc
normcli inspect *.pt --format csv --output norms.csv
normcli inspect model.pt --metrics frobenius,nan    no spectral norms: fast
normcli inspect model.pt --report json=norms.json   a table here, JSON there
normcli inspect model.pt --certificate deterministic --device cuda
"""


def inspect(
    paths: Paths,
    *,
    format_: Format = None,
    output: Output = None,
    force: Force = False,
    reports: Reports = None,
    columns: Columns = None,
    sort: Sort = None,
    limit: Limit = None,
    include: Include = None,
    exclude: Exclude = None,
    everything: Everything = False,
    metrics: Metrics = None,
    power_iterations: PowerIterations = None,
    seed: Seed = 0,
    rtol: Rtol = 1e-6,
    certificate: Certificate = "probabilistic",
    failure_probability: FailureProbability = 1e-10,
    dims: Dims = None,
    jobs: Jobs = None,
    memory: Memory = None,
    device: Device = "cpu",
    allow_opaque: AllowOpaque = False,
    budget_scale: BudgetScale = 1.0,
    expect_sha256: ExpectSha256 = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    color: Color = "auto",
    show_progress: ShowProgress = True,
    debug: Debug = False,
    config: Config = None,
    no_config: NoConfig = False,
) -> int:
    """Measure every weight: shape, norm state, ‖W‖_F, exact σ₁, power iteration, stable rank.

    Nothing in a file is run.
    """
    del no_config  # its callback has acted
    started = time.monotonic()
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    voice.say(f"configuration: {config or 'none'}")
    order = arguments.order(sort, limit, REPORT.columns)
    chosen = arguments.columns(columns, REPORT.columns)
    wanted = products.plan(format_, output, reports or (), force=force, inputs=paths)
    streams = order == Order() and products.streams(wanted)
    arguments.one_file(expect_sha256, paths)
    arguments.bracket(rtol, certificate, failure_probability)
    axes = arguments.axes(dims or ())
    budget = None if memory is None else arguments.size(memory)

    from normcli.commands.inspect import inspect as measure

    measured = partial(
        measure,
        include=include or (),
        exclude=exclude or (),
        metrics=None if metrics is None else arguments.names(metrics),
        dims=axes,
        power_iterations=power_iterations,
        seed=seed,
        rtol=rtol,
        certificate=certificate,
        failure_probability=failure_probability,
        everything=everything,
        jobs=jobs,
        memory=budget,
        device=arguments.device(device),
        allow_opaque=allow_opaque,
        budget_scale=budget_scale,
        sha256=any(product.format == "json" for product in wanted),
        expect_sha256=expect_sha256,
    )
    with progress(shown=show_progress and not quiet, color=voice.color) as bar:
        watch: Watch = _streaming(bar) if streams else bar
        found = each(paths, lambda path: measured(path, observe=watch(path)), voice)
    seconds = time.monotonic() - started
    document = report_document(
        found, version=__version__, order=order, chosen=chosen, seconds=seconds
    )
    products.write([p for p in wanted if not (streams and p.path is None)], document, color=color)
    return exit_code(paths, found)


def _streaming(bar: "Callable[[str], Observe]") -> "Watch":
    """Observers that write each weight as it comes, then let the bar see it."""

    def watch(path: str) -> "Callable[[Measurement, Progress], None]":
        observe = bar(path)

        def write(measurement: "Measurement", done: "Progress") -> None:
            products.put(measured_line(path, measurement))
            observe(measurement, done)

        return write

    return watch
