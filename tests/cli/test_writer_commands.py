"""The commands that write: what they understand, what they hand on, and what they say of it."""

import json
import os
import sys
from dataclasses import replace
from importlib.resources import files
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator
from typer.main import get_command

from normcli.cli.app import build, invoke
from normcli.cli.config import KEYS
from normcli.cli.messages import usage_error
from normcli.commands.progress import Progress
from normcli.errors import CheckpointError, NormcliError
from normcli.records import Change, InputFile, Rewriting, Skipped, Spelling, Step, TensorRef
from normcli.render.rewriting_formats import REWRITING_FORMATS

WRITERS = ("apply", "remove", "convert", "refresh", "initialize")
FUNCTIONS = {"initialize": "initialize_checkpoint"}  # else the name of the command
CALLS = {
    "apply": ["apply", "--spectral", "m.pt"],
    "remove": ["remove", "m.pt"],
    "convert": ["convert", "m.pt", "-o", "out.pt"],
    "refresh": ["refresh", "m.pt"],
    "initialize": ["initialize", "m.pt", "--model", "nets:Net", "--batch", "x.npy"],
}
REF = TensorRef("D", "conv.weight", (8, 4), "float32", 128)
DONE = Rewriting(
    verb="remove",
    path="m.pt",
    format="torch-zip",
    files=(InputFile("m.pt", 2_000),),
    output="m.plain.pt",
    output_format="torch-zip",
    output_files=(InputFile("m.plain.pt", 1_000),),
    steps=(
        Step(
            "remove", REF, Spelling("spectral", "legacy"), Spelling(), 0, (REF,), (), "W ÷ σ"
        ),
    ),
    changes={"D/conv.weight": Change(0, 1.25, None, None, 0.0, ("u is stale",))},
    left=(Skipped("fc.weight", "all zero"),),
    notes=("the optimizer state was left out",),
    written=True,
)  # fmt: skip
PLAN = Rewriting("remove", "m.pt", "torch-zip", DONE.files, "m.plain.pt", "torch-zip")


class StandIn:
    """A library function that writes nothing, and remembers what it was told."""

    def __init__(self):
        self.told = None
        self.answer = DONE

    def __call__(self, path, **options):
        self.told = {"path": path, **options}
        options["observe"]("D/conv.weight", Progress(1, 1, 10, 10))
        if isinstance(self.answer, Exception):
            raise self.answer
        return PLAN if options["dry_run"] else self.answer


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Stand-ins for every writer; the folder is empty but for the input."""
    stand_in = StandIn()
    for command in WRITERS:
        name = FUNCTIONS.get(command, command)
        module = ModuleType(f"normcli.commands.{name}")
        setattr(module, name, stand_in)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "m.pt").write_bytes(b"input")
    return stand_in


def refused(arguments):
    """The error, and the hint, of a command line that cannot be meant."""
    with pytest.raises(Exception, match=r".+") as caught:
        invoke(arguments)
    error = caught.value
    if not isinstance(error, NormcliError):
        error = usage_error(error)
    return f"{error}\n{error.hint}"


COMMON = {
    "path": "m.pt", "output": None, "force": False, "in_place": False, "include": (),
    "exclude": (), "dims": {}, "allow_nonfinite": False, "drop_optimizer": False,
    "drop_opaque": False, "dry_run": False, "jobs": None, "memory": None, "budget_scale": 1.0,
    "sha256": False, "expect_sha256": None,
}  # fmt: skip
OWN = {
    "apply": {
        "norm": "spectral", "layout": None, "stack": False, "iterations": None, "seed": 0,
        "coefficient": None, "clip": None, "rtol": 1e-6,
    },
    "remove": {"sigma": "stored", "restore": False},
    "convert": {"layout": None, "max_shard_size": None, "output": "out.pt"},
    "refresh": {"iterations": None, "rtol": 1e-6},
    "initialize": {
        "model": "nets:Net", "model_args": (), "batch": "x.npy", "section": None, "prefix": "",
        "training": False, "seed": 0, "layout": None, "strict": False,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_without_options_the_library_decides(library, name):
    assert invoke(CALLS[name]) == 0
    del library.told["observe"]
    assert library.told == {**COMMON, **OWN[name]}


@pytest.mark.parametrize("name", WRITERS)
def test_every_shared_option_reaches_the_library(library, name):
    options = [
        "--output", "o.pt", "--force", "--include", "a*", "--include", "b", "--exclude", "c",
        "--dim", "up.*=1", "--dim", "g=none", "--allow-nonfinite", "--drop-optimizer",
        "--drop-opaque", "-j", "3", "--memory", "2GB", "--budget-scale", "4",
        "--expect-sha256", "0" * 64,
    ]  # fmt: skip
    assert invoke([*CALLS[name], *options]) == 0
    told = {key: library.told[key] for key in COMMON}
    assert told == {
        "path": "m.pt", "output": "o.pt", "force": True, "in_place": False,
        "include": ["a*", "b"], "exclude": ["c"], "dims": {"up.*": 1, "g": None},
        "allow_nonfinite": True, "drop_optimizer": True, "drop_opaque": True, "dry_run": False,
        "jobs": 3, "memory": 2 * 10**9, "budget_scale": 4.0, "sha256": False,
        "expect_sha256": "0" * 64,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["apply", "--weight", "m.pt"], {"norm": "weight"}),
        (["apply", "m.pt", "--spectral"], {"norm": "spectral"}),
        (
            ["apply", "--spectral", "m.pt", "--layout", "legacy", "--stack", "--iterations", "0"],
            {"layout": "legacy", "stack": True, "iterations": 0},
        ),
        (
            ["apply", "--spectral", "m.pt", "--seed", "7", "--rtol", "1e-3", "--clip", "2"],
            {"seed": 7, "rtol": 1e-3, "clip": 2.0},
        ),
        (["apply", "--spectral", "m.pt", "--coefficient", "0.5"], {"coefficient": 0.5}),
        (["remove", "m.pt", "--sigma", "exact"], {"sigma": "exact"}),
        (["remove", "m.pt", "--restore", "--in-place"], {"restore": True, "in_place": True}),
        (["convert", "m.pt", "--in-place", "--layout", "legacy"], {"layout": "legacy"}),
        (["convert", "m.pt", "-o", "x", "--max-shard-size", "5MB"], {"max_shard_size": 5 * 10**6}),
        (["refresh", "m.pt", "--iterations", "5", "--rtol", "0.1"], {"iterations": 5, "rtol": 0.1}),
        (
            [
                *CALLS["initialize"],
                "--section",
                "G",
                "--prefix",
                "module.",
                "--train",
                "--seed",
                "7",
            ],
            {"section": "G", "prefix": "module.", "training": True, "seed": 7},
        ),
        (
            [
                *CALLS["initialize"],
                "--model-args",
                '{"width": 64}',
                "--layout",
                "plain",
                "--strict",
            ],
            {"model_args": {"width": 64}, "layout": "plain", "strict": True},
        ),
        ([*CALLS["initialize"], "--model-args", "[64, null]"], {"model_args": [64, None]}),
    ],
)
def test_every_option_of_one_command_reaches_the_library(library, arguments, told):
    assert invoke(arguments) == 0
    assert {key: library.told[key] for key in told} == told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["apply", "m.pt"], "no norm given, expected --spectral or --weight"),
        (["apply", "m.pt", "--weight", "--spectral"], "both --spectral and --weight given"),
        (["apply", "--spectral"], "missing argument 'PATH'"),
        (["apply", "--spectral", "m.pt", "n.pt"], "unexpected extra argument"),
        (["apply", "--spectral", "m.pt", "--layout", "legasy"], "did you mean 'legacy'?"),
        (["apply", "--spectral", "m.pt", "--iterations", "-1"], "--iterations: should be greater"),
        (["apply", "--spectral", "m.pt", "--rtol", "1"], "--rtol: 1.0 is not between 0 and 1"),
        (["apply", "--spectral", "m.pt", "--seed", "-1"], "--seed: should be greater"),
        (["apply", "--spectral", "m.pt", "--clip", "0"], "--clip: 0.0 is not a number above 0"),
        (["apply", "--spectral", "m.pt", "--clip", "nan"], "--clip: nan is not a number above 0"),
        (["apply", "--spectral", "m.pt", "--coefficient", "inf"], "--coefficient: inf is not"),
        (["remove", "m.pt", "--sigma", "exakt"], "did you mean 'exact'?"),
        (["remove", "m.pt", "--restore", "--sigma", "exact"], "exclude each other"),
        (["convert", "m.pt"], "--output: missing, expected the checkpoint to write"),
        (["convert", "m.pt", "-o", "x.pt", "--layout", "plain"], "no layout is called 'plain'"),
        (["convert", "m.pt", "-o", "x", "--max-shard-size", "x"], "--max-shard-size: 'x' is not"),
        (["refresh", "m.pt", "--iterations", "0"], "--iterations: should be greater"),
        (["refresh", "m.pt", "--seed", "1"], "no such option: --seed"),
        (["initialize", "m.pt", "--batch", "x.npy"], "--model: missing, expected MODULE:FACTORY"),
        (["initialize", "m.pt", "--model", "nets:Net"], "--batch: missing, expected the file"),
        ([*CALLS["initialize"], "--layout", "legasy"], "did you mean 'legacy'?"),
        ([*CALLS["initialize"], "--model-args", "{"], "--model-args: is not JSON"),
        ([*CALLS["initialize"], "--model-args", "64"], "expected an object or an array"),
        ([*CALLS["initialize"], "--seed", "-1"], "--seed: should be greater"),
        ([*CALLS["initialize"], "-o", "./x.npy", "--force"], "x.npy: is an input"),
        ([*CALLS["initialize"], "--receipt", "./x.npy", "--force"], "x.npy: is an input"),
        ([*CALLS["initialize"], "--receipt", "m.pt", "--force"], "m.pt: is an input"),
        (["remove", "m.pt", "-o", "-"], "--output: standard output cannot hold a checkpoint"),
        (["remove", "m.pt", "--in-place", "-o", "x.pt"], "--in-place and --output exclude each"),
        (["remove", "m.pt", "--in-place", "--force"], "--in-place and --force exclude each other"),
        (["remove", "m.pt", "--dry-run", "--receipt", "r.json"], "is of what was written"),
        (["remove", "m.pt", "--receipt", "-"], "--receipt: a receipt is a file"),
        (["remove", "m.pt", "--receipt", "m.pt"], "m.pt: is an input"),
        (["remove", "m.pt", "--receipt", "new.pt"], "new.pt: is named like a checkpoint"),
        (["remove", "m.pt", "--receipt", "r", "-o", "./r"], "r: is named for two outputs"),
        (["remove", "m.pt", "--receipt", "none/r.json"], "its folder does not exist"),
        (["remove", "m.pt", "-f", "jsn"], "did you mean 'json'?"),
        (["remove", "m.pt", "--dim", "up"], "--dim: 'up' is not GLOB=AXIS"),
        (["remove", "m.pt", "--memory", "2QB"], "--memory: '2QB' is not a size"),
        (["remove", "m.pt", "--expect-sha256", "0"], "is not 64 hexadecimal digits"),
        (["remove", "m.pt", "--color", "red"], "--color: 'red' is not a choice"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_the_library_is_asked(library, arguments, sentence):
    assert sentence in refused(arguments)
    assert library.told is None


def test_a_receipt_that_exists_needs_force(library, tmp_path, capsys):
    (tmp_path / "r.json").write_text("old")
    assert "r.json: exists" in refused(["remove", "m.pt", "--receipt", "r.json"])
    assert library.told is None
    assert invoke(["remove", "m.pt", "--receipt", "r.json", "--force"]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["written"] is True


def test_a_receipt_never_replaces_the_output_that_has_its_name(library, tmp_path):
    library.answer = replace(DONE, output="model.plain")
    (tmp_path / "model.plain").write_bytes(b"weights")
    assert "is the output itself" in refused(
        ["remove", "m.pt", "--receipt", "model.plain", "--force"]
    )
    assert (tmp_path / "model.plain").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("options", "hashed"),
    [
        ([], False),
        (["--receipt", "r.json"], True),
        (["-f", "json"], True),
        (["-f", "csv"], False),
        (["--dry-run", "-f", "json"], True),
        (["--dry-run"], False),
    ],
)
def test_hashes_are_computed_where_they_are_shown(library, options, hashed, capsys):
    assert invoke(["remove", "m.pt", *options]) == 0
    assert library.told["sha256"] is hashed


def test_standard_output_is_the_path_and_the_table_is_beside_it(library, capsys):
    assert invoke(["remove", "m.pt"]) == 0
    out, err = capsys.readouterr()
    assert out == "m.plain.pt\n"
    assert "σ before" in err
    assert "wrote m.plain.pt · 1 kB · 1 weight changed, 1 left" in err
    for sentence in ("D/conv.weight: u is stale", "fc.weight: all zero", "optimizer state was"):
        assert err.count(sentence) == 1


def test_quiet_says_nothing_beside_the_path(library, capsys):
    assert invoke(["remove", "m.pt", "-q"]) == 0
    assert capsys.readouterr() == ("m.plain.pt\n", "")


@pytest.mark.parametrize("name", REWRITING_FORMATS)
def test_a_format_takes_the_place_of_the_path(library, name, capsys):
    assert invoke(["remove", "m.pt", "-f", name]) == 0
    out, err = capsys.readouterr()
    assert not out.endswith("\nm.plain.pt\n")
    assert "D/conv.weight" in out
    assert err.splitlines() == [
        "note: D/conv.weight: u is stale",
        "note: fc.weight: all zero",
        "note: the optimizer state was left out",
        "note: wrote m.plain.pt · 1 kB · 1 weight changed, 1 left",
    ]


def test_standard_output_is_the_same_however_much_is_said(library, capsys):
    for options in ([], ["-f", "json"], ["-f", "table"]):
        texts = set()
        for said in (["-q"], ["-v"], ["--no-progress"], ["--debug"]):
            assert invoke(["remove", "m.pt", *options, *said]) == 0
            texts.add(capsys.readouterr().out)
        assert len(texts) == 1


def test_a_plan_is_standard_output(library, capsys):
    assert invoke(["remove", "m.pt", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert library.told["dry_run"] is True
    assert out.startswith("name\tshape\tbefore\tafter\tdim\tchange\t")
    assert err == "note: would write m.plain.pt · no weight to change\n"


def test_the_receipt_is_the_json_document(library, tmp_path, capsys):
    assert invoke(["remove", "m.pt", "--receipt", "r.json", "-f", "json"]) == 0
    text = (tmp_path / "r.json").read_text("utf-8")
    assert text == capsys.readouterr().out
    schema = files("normcli.render").joinpath("rewriting.schema.json").read_text("utf-8")
    Draft202012Validator(json.loads(schema)).validate(json.loads(text))


def test_a_checkpoint_that_is_refused_leaves_no_receipt(library, tmp_path, capsys):
    library.answer = CheckpointError("is truncated", hint="fetch it again")
    assert invoke(["remove", "m.pt", "--receipt", "r.json"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "normcli: m.pt: is truncated\nhint: fetch it again\n")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_the_file_gives_defaults_and_keys_of_other_commands_break_nothing(
    library, name, tmp_path, capsys
):
    (tmp_path / "normcli.toml").write_text(
        "include = ['D/*']\nexclude = ['x']\njobs = 2\nmemory = '1GB'\nall = true\nseed = 3\n"
        "rtol = 0.01\nmetrics = ['nan']\npower-iterations = 4\ncertificate = 'none'\n"
        "failure-probability = 0.1\ndevice = 'cpu'\ncolor = 'never'\nprogress = false\n"
        "fail-on = 'error'\n[dim]\n'up.*' = 1\n"
    )
    assert invoke(CALLS[name]) == 0
    told = {
        "include": ["D/*"], "exclude": ["x"], "jobs": 2, "memory": 10**9, "dims": {"up.*": 1},
    }  # fmt: skip
    told |= {key: value for key, value in {"seed": 3, "rtol": 0.01}.items() if key in OWN[name]}
    assert {key: library.told[key] for key in told} == told
    assert library.told.get("iterations") is None
    assert invoke([*CALLS[name], "--no-config"]) == 0
    assert library.told["include"] == ()


def test_no_configuration_replaces_or_drops_anything():
    parameters = {key.parameter for key in KEYS.values()}
    dangerous = {"in_place", "force", "output", "drop_opaque", "drop_optimizer", "allow_nonfinite"}
    assert not parameters & dangerous


RUNS = ("model", "model-args", "batch")


@pytest.mark.parametrize("key", RUNS)
def test_no_configuration_says_which_code_is_run(library, key, tmp_path):
    (tmp_path / "normcli.toml").write_text(f"{key} = 'x:y'\n")
    for call in CALLS.values():
        assert f"normcli.toml: no key is called {key!r}" in refused(call)
    assert library.told is None


@pytest.mark.parametrize("key", RUNS)
def test_no_variable_says_which_code_is_run(library, key, monkeypatch):
    name = key.upper().replace("-", "_")
    for variable in (f"NORMCLI_{name}", f"NORMCLI_INITIALIZE_{name}", name):
        monkeypatch.setenv(variable, "x:y")
    assert "--model: missing" in refused(["initialize", "m.pt"])
    command = get_command(build()).commands["initialize"]
    assert {each.name for each in command.params if each.envvar} == {
        "jobs", "memory", "color", "show_progress",
    }  # fmt: skip


def test_a_path_is_printed_in_its_own_bytes(library, capfdbinary):
    name = os.fsdecode("grö\xff.pt".encode("latin-1"))
    library.answer = replace(DONE, output=name)
    assert invoke(["remove", "m.pt", "-q"]) == 0
    assert capfdbinary.readouterr().out == b"gr\xf6\xff.pt\n"
