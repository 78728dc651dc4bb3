"""`normcli check`: checkpoints held to a policy, and an exit code that says whether they pass."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from normcli import __version__
from normcli.cli import arguments, gating, products
from normcli.cli.gating import BaselineFile, FailOn, From, GateFormat, GatePaths, PolicyFile
from normcli.cli.measuring import Certificate, Dims, FailureProbability, Seed
from normcli.cli.messages import Voice
from normcli.cli.options import (
    BudgetScale,
    Color,
    Config,
    Debug,
    Device,
    Exclude,
    ExpectSha256,
    Force,
    Include,
    Jobs,
    Memory,
    NoConfig,
    Output,
    Quiet,
    Reports,
    ShowProgress,
    Verbose,
)
from normcli.cli.progress import progress
from normcli.errors import CheckpointError
from normcli.render.gate import GATE_FORMATS, GateDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normcli.cli.products import Product
    from normcli.records import Verdict

EXAMPLES = """\
normcli check model.safetensors
normcli check *.pt --policy release.toml --fail-on warning
normcli check gan.pt --baseline normcli-baseline.json
normcli check gan.pt --report sarif=normcli.sarif --report junit=normcli.xml
normcli check --from norms.json --format json
"""


def check(
    paths: GatePaths = None,
    *,
    policy: PolicyFile = None,
    baseline: BaselineFile = None,
    fail_on: FailOn = None,
    report: From = None,
    format_: GateFormat = None,
    output: Output = None,
    force: Force = False,
    reports: Reports = None,
    include: Include = None,
    exclude: Exclude = None,
    seed: Seed = 0,
    certificate: Certificate = "probabilistic",
    failure_probability: FailureProbability = 1e-10,
    dims: Dims = None,
    jobs: Jobs = None,
    memory: Memory = None,
    device: Device = "cpu",
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
    """Hold checkpoints to a policy: 0 where they pass, 1 where a finding fails them, else 2.

    Nothing in a file is run, and what cannot be read never passes.
    """
    del no_config  # its callback has acted
    started = time.monotonic()
    voice = Voice.choose(color, debug=debug, quiet=quiet, verbose=verbose)
    held = gating.policy(policy)
    voice.say(f"configuration: {config or 'none'}")
    voice.say(f"policy: {held.path or 'built-in'}")
    severity = gating.fail_on(fail_on)
    measuring = {
        "--include": include,
        "--exclude": exclude,
        "--dim": dims,
        "--seed": seed,
        "--certificate": certificate != "probabilistic",
        "--failure-probability": failure_probability != 1e-10,
        "--expect-sha256": expect_sha256,
    }
    gating.one_source(paths or (), report, measuring)
    read = [*(paths or ()), *(each for each in (held.path, baseline, report) if each)]
    wanted = products.plan(
        format_, output, reports or (), force=force, inputs=read, formats=gating.GATE
    )
    arguments.one_file(expect_sha256, paths or ())
    arguments.bracket(1e-6, certificate, failure_probability)
    axes = arguments.axes(dims or ())
    budget = None if memory is None else arguments.size(memory)
    arguments.device(device)

    from normcli.commands.check import check as hold
    from normcli.commands.check import check_report

    if report is not None:
        verdict = check_report(report, policy=held, baseline=baseline, fail_on=severity)
    else:
        with progress(shown=show_progress and not quiet, color=voice.color) as bar:
            verdict = hold(
                paths or (),
                policy=held,
                baseline=baseline,
                fail_on=severity,
                include=include or (),
                exclude=exclude or (),
                dims=axes,
                seed=seed,
                certificate=certificate,
                failure_probability=failure_probability,
                jobs=jobs,
                memory=budget,
                device=device,
                budget_scale=budget_scale,
                sha256=any(product.format == "json" for product in wanted),
                expect_sha256=expect_sha256,
                observe=bar,
            )
    return _told(verdict, wanted, voice, color=color, seconds=time.monotonic() - started)


def _told(
    verdict: "Verdict",
    wanted: "Iterable[Product]",
    voice: Voice,
    *,
    color: str,
    seconds: float,
) -> int:
    """Say the verdict; its exit code, which no pipe that breaks takes back.

    Raises:
        BrokenPipeError: Of a verdict that passes: nobody has read it.
        OutputError: A product could not be written, which is worse than a finding.
    """
    for each in verdict.unread:
        voice.error(CheckpointError(each.message, hint=each.hint, where=each.path))
    document = GateDocument(verdict, __version__, seconds, str(gating.repository(Path.cwd())))
    try:
        products.deliver(wanted, document, GATE_FORMATS, color=color)
    except BrokenPipeError:
        if verdict.exit_code == 0:
            raise
    return verdict.exit_code
