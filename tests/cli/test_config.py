"""Configuration: command line over environment over file over default."""

import inspect as signatures

import pytest
from processes import run

from normcli.cli import inspect
from normcli.cli.config import KEYS, defaults
from normcli.errors import UsageError
from normcli.gate.configuration import OPTION_KEYS, POLICY_KEYS, find, load


def names(done):
    assert done.returncode == 0, done.stderr
    return [line.partition("\t")[0] for line in done.stdout.splitlines()[1:]]


def test_every_key_is_a_default_of_an_option():
    parameters = set(signatures.signature(inspect.inspect).parameters)
    assert {key.parameter for key in KEYS.values()} <= parameters


def test_the_gate_leaves_exactly_the_keys_of_options_to_the_command_line():
    assert tuple(KEYS) == OPTION_KEYS


def test_no_key_weakens_a_refusal_or_names_an_output():
    assert not {"allow-opaque", "force", "output", "report", "format"} & set(KEYS)


def test_the_nearest_file_up_to_the_root_of_the_repository_counts(tmp_path):
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "normcli.toml").write_text("")
    assert find(inner) is None
    (tmp_path / "repository" / ".git").mkdir()
    assert find(inner) is None
    (tmp_path / "repository" / "pyproject.toml").write_text("[tool.normcli]\n")
    assert find(inner) == tmp_path / "repository" / "pyproject.toml"
    (tmp_path / "repository" / "normcli.toml").write_text("")
    assert find(inner) == tmp_path / "repository" / "normcli.toml"


def test_a_pyproject_without_our_table_is_none(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert find(tmp_path) is None


def test_pyproject_is_read_by_its_table(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n[tool.normcli]\njobs = 2\n")
    assert load(path) == {"jobs": 2}


def test_values_become_what_the_command_line_would_give():
    table = {
        "include": ["D/*"], "all": True, "metrics": ["nan", "inf"], "memory": 1000,
        "dim": {"up.*": 1, "g": "none"}, "jobs": 3, "progress": False,
        "rtol": 1e-3, "certificate": "none", "failure-probability": 1e-6, "device": "mps",
    }  # fmt: skip
    assert defaults(table, "x") == {
        "include": ["D/*"], "everything": True, "metrics": "nan,inf", "memory": "1000",
        "dims": ["up.*=1", "g=none"], "jobs": 3, "show_progress": False,
        "rtol": 1e-3, "certificate": "none", "failure_probability": 1e-6, "device": "mps",
    }  # fmt: skip


def test_the_policy_is_left_to_the_gate():
    assert defaults(dict.fromkeys(POLICY_KEYS, 1), "x") == {}


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"job": 1}, "normcli.toml: no key is called 'job'", "did you mean 'jobs'?"),
        ({"jobs": "two"}, "normcli.toml: 'jobs' is 'two', expected an integer from 1 on", ""),
        ({"jobs": True}, "normcli.toml: 'jobs' is True, expected an integer from 1 on", ""),
        ({"jobs": 0}, "normcli.toml: 'jobs' is 0, expected an integer from 1 on", ""),
        ({"include": "D/*"}, "normcli.toml: 'include' is 'D/*', expected a list of globs", ""),
        (
            {"color": "red"},
            "normcli.toml: 'color' is 'red', expected 'auto', 'always' or 'never'",
            "",
        ),
        ({"dim": 1}, "normcli.toml: 'dim' is 1, expected a table from globs to axes", ""),
        ({"rtol": 1}, "normcli.toml: 'rtol' is 1, expected a number between 0 and 1", ""),
        (
            {"failure-probability": "1e-6"},
            "normcli.toml: 'failure-probability' is '1e-6', expected a number between 0 and 1",
            "",
        ),
        (
            {"certificate": 1},
            "normcli.toml: 'certificate' is 1, expected 'probabilistic', 'deterministic' or 'none'",
            "",
        ),
        ({"device": "tpu"}, "normcli.toml: 'device' is 'tpu', expected 'cpu', 'cuda' or 'mps'", ""),
        ({"progress": 1}, "normcli.toml: 'progress' is 1, expected true or false", ""),
        ({"memory": 1.5}, "normcli.toml: 'memory' is 1.5, expected a size such as '2GB'", ""),
        ({"metrics": [1]}, "normcli.toml: 'metrics' is [1], expected a list of names", ""),
    ],
)
def test_a_key_that_cannot_be_meant_is_named_with_its_place(table, message, hint):
    with pytest.raises(UsageError) as caught:
        defaults(table, "normcli.toml")
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_the_file_is_a_default_and_the_command_line_wins(model):
    folder = model.parent
    (folder / "normcli.toml").write_text("include = ['a.*']\n")
    assert names(run("ls", model, cwd=folder)) == ["a.weight"]
    assert names(run("ls", model, "--include", "b.*", cwd=folder)) == ["b.weight"]
    assert names(run("ls", model, "--no-config", cwd=folder)) == [
        "a.weight", "b.weight", "c.weight",
    ]  # fmt: skip


def test_a_file_can_be_named(model, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text("include = ['c.*']\n")
    assert names(run("ls", model, "--config", path)) == ["c.weight"]


def test_the_environment_stands_between(model):
    folder = model.parent
    (folder / "normcli.toml").write_text("color = 'never'\n")
    always = {"NORMCLI_COLOR": "always"}
    table = ["ls", model, "-f", "table"]
    assert "\x1b" not in run(*table, cwd=folder, FORCE_COLOR="1").stdout
    assert "\x1b" in run(*table, cwd=folder, **always).stdout
    assert "\x1b" not in run(*table, "--color", "never", cwd=folder, **always).stdout


@pytest.mark.parametrize("variable", ["ALLOW_OPAQUE", "FORCE", "INCLUDE", "FORMAT", "CONFIG"])
def test_the_environment_weakens_and_hides_nothing(model, variable):
    assert run("ls", model, **{f"NORMCLI_{variable}": "1"}).stdout == run("ls", model).stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--config", "none.toml"], "none.toml: No such file or directory"),
        (["--config", "x.toml", "--no-config"], "--config and --no-config exclude each other"),
        (["--no-config", "--config", "x.toml"], "--config and --no-config exclude each other"),
        (["--config", "x.toml"], "x.toml: is not TOML"),
    ],
)
def test_a_configuration_that_cannot_be_meant_ends_with_2(model, options, sentence):
    (model.parent / "x.toml").write_text("jobs = = 1")
    done = run("ls", model, *options, cwd=model.parent)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_verbose_names_the_file(model):
    (model.parent / "normcli.toml").write_text("")
    done = run("ls", model, "-v", cwd=model.parent)
    assert "normcli: configuration: " in done.stderr
    assert "normcli.toml" in done.stderr
