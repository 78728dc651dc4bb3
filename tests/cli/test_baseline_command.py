"""`normcli baseline` through real processes: what it writes, what it leaves, when it says no."""

import json
import os
import stat
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from jsonschema import Draft202012Validator
from outputs import names
from processes import environment, run
from safetensors.torch import save_file
from torch.nn.utils import parametrizations

NAME = "normcli-baseline.json"
SCHEMA = json.loads(files("normcli.gate").joinpath("baseline.schema.json").read_text("utf-8"))
torch.set_num_threads(1)


@pytest.fixture
def here(tmp_path):
    """A folder with two checkpoints: `gan.pt` with two sections, and `one.safetensors`."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(6, 4, generator=generator) for _ in range(4)]
    gan = {
        "G": {"a.weight": drawn[0], "b.weight": drawn[1], "b.bias": torch.zeros(6)},
        "D": {"a.weight": drawn[2], "steps": torch.tensor([[1, 2]])},
    }
    torch.save(gan, tmp_path / "gan.pt")
    save_file({"w": drawn[3]}, tmp_path / "one.safetensors")
    return tmp_path


def saved(here, **sections):
    torch.save(sections, here / "gan.pt")


def drawn(*shape, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def lines(here):
    return (here / NAME).read_bytes().splitlines()


def held(here):
    content = json.loads((here / NAME).read_bytes())
    Draft202012Validator(SCHEMA).validate(content)
    return content["checkpoints"]


def baseline(here, *arguments, **more):
    return run("baseline", *arguments, cwd=here, **more)


def written(here, *paths):
    done = baseline(here, "write", *paths)
    assert done.returncode == 0, done.stderr
    return done


def assert_refused(done, sentence):
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_write_tells_the_path_on_standard_output_and_the_rest_on_standard_error(here):
    done = written(here, "gan.pt", "one.safetensors")
    assert done.stdout == f"{NAME}\n"
    assert done.stderr == (f"wrote {NAME} · 2 checkpoints, 4 weights · 0 changed, 4 new, 0 gone\n")


def test_quiet_says_nothing_but_the_path(here):
    done = baseline(here, "write", "gan.pt", "-q")
    assert (done.stdout, done.stderr) == (f"{NAME}\n", "")


def test_every_number_is_that_of_torch_to_six_digits(here):
    written(here, "gan.pt")
    gan = torch.load(here / "gan.pt", weights_only=True)
    assert set(held(here)["gan.pt"]) == {"G/a.weight", "G/b.weight", "D/a.weight"}
    for name, line in held(here)["gan.pt"].items():
        section, key = name.split("/")
        weight = gan[section][key].double()
        sigma = torch.linalg.matrix_norm(weight, 2).item()
        frobenius = torch.linalg.matrix_norm(weight).item()
        assert line["spectral_norm"] == pytest.approx(sigma, rel=5e-6)
        assert line["frobenius"] == pytest.approx(frobenius, rel=5e-6)
        assert line["stable_rank"] == pytest.approx((frobenius / sigma) ** 2, rel=5e-6)
        assert (line["shape"], line["dtype"]) == (list(weight.shape), "float32")
        assert "state" not in line


def test_a_norm_is_recorded_with_its_family_and_layout_and_its_effective_weight(here):
    linear = parametrizations.spectral_norm(torch.nn.Linear(4, 6), n_power_iterations=50)
    torch.save(linear.state_dict(), here / "sn.pt")
    written(here, "sn.pt")
    line = held(here)["sn.pt"]["weight"]
    assert line["state"] == "spectral parametrized"
    assert line["spectral_norm"] == pytest.approx(1.0, abs=1e-4)


def test_the_file_tells_nothing_of_machine_time_or_place(here):
    first = here / "a"
    second = here / "elsewhere" / "b"
    for folder in (first, second):
        folder.mkdir(parents=True)
        (folder / "gan.pt").write_bytes((here / "gan.pt").read_bytes())
        assert baseline(folder, "write", folder / "gan.pt").returncode == 0
    assert lines(first) == lines(second)


@pytest.mark.parametrize("option", [["--jobs", "1"], ["--memory", "1kB"], ["--seed", "5"]])
def test_the_file_does_not_depend_on_how_it_was_measured(here, option):
    written(here, "gan.pt")
    before = lines(here)
    assert baseline(here, "write", "gan.pt", "--force", *option).returncode == 0
    assert lines(here) == before


def test_writing_the_same_again_does_not_touch_the_file(here):
    written(here, "gan.pt")
    os.utime(here / NAME, (1, 1))
    before = (here / NAME).stat()
    for command in (["write", "--force"], ["update"]):
        done = baseline(here, *command, "gan.pt")
        assert done.returncode == 0
        assert done.stdout == f"{NAME}\n"
        assert f"left {NAME} as it was" in done.stderr
        after = (here / NAME).stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_write_does_not_replace_a_file_without_force(here):
    (here / NAME).write_text("mine")
    assert_refused(baseline(here, "write", "gan.pt"), "exists\nhint: normcli baseline update")
    assert (here / NAME).read_text() == "mine"
    assert baseline(here, "write", "gan.pt", "--force").returncode == 0
    assert set(held(here)) == {"gan.pt"}


def test_write_with_force_keeps_no_other_checkpoint(here):
    written(here, "gan.pt", "one.safetensors")
    done = baseline(here, "write", "one.safetensors", "--force")
    assert set(held(here)) == {"one.safetensors"}
    assert "0 changed, 0 new, 3 gone" in done.stderr


def test_another_file_is_named_by_an_option(here):
    (here / "ci").mkdir()
    done = baseline(here, "write", "gan.pt", "--baseline", "ci/b.json")
    assert done.stdout == "ci/b.json\n"
    assert not (here / NAME).exists()
    assert baseline(here, "show", "--baseline", "ci/b.json").returncode == 0


@pytest.mark.parametrize("command", ["write", "update"])
def test_nothing_is_written_where_a_path_cannot_be_read(here, command):
    written(here, "one.safetensors")
    before = lines(here)
    (here / "junk.pt").write_bytes(b"junk")
    force = ["--force"] if command == "write" else []
    done = baseline(here, command, "gan.pt", "none.pt", "junk.pt", *force)
    assert_refused(done, "none.pt: no such file")
    assert "junk.pt: is not a checkpoint" in done.stderr
    assert "note: nothing was written" in done.stderr
    assert lines(here) == before


@pytest.mark.parametrize("command", ["write", "update"])
def test_two_paths_with_one_name_are_both_named(here, command):
    (here / "old").mkdir()
    (here / "old" / "gan.pt").write_bytes((here / "gan.pt").read_bytes())
    done = baseline(here, command, "gan.pt", "old/gan.pt", "--baseline", "b.json")
    if command == "update":
        assert_refused(done, "there is no such baseline")
        return
    assert_refused(done, "gan.pt and old/gan.pt are both called 'gan.pt'")
    assert not (here / "b.json").exists()


def test_update_changes_no_other_checkpoint(here):
    written(here, "gan.pt", "one.safetensors")
    before = lines(here)
    saved(here, D={"a.weight": drawn(6, 4)})
    done = baseline(here, "update", "gan.pt")
    assert "2 checkpoints, 2 weights · 1 changed, 0 new, 2 gone" in done.stderr
    assert set(held(here)["gan.pt"]) == {"D/a.weight"}
    at = before.index(b'"one.safetensors": {')
    assert lines(here)[-len(before[at:]) :] == before[at:]


def test_update_with_globs_changes_only_the_lines_that_they_mean(here):
    written(here, "gan.pt", "one.safetensors")
    before = lines(here)
    new = drawn(6, 4, scale=3.0)
    saved(here, G={"a.weight": new, "b.weight": new}, D={"a.weight": new})
    done = baseline(here, "update", "gan.pt", "--include", "G/*", "--exclude", "b.weight")
    assert "1 changed, 0 new, 0 gone" in done.stderr
    differing = [old for old, line in zip(before, lines(here), strict=True) if old != line]
    assert [line.split(b'"')[1] for line in differing] == [b"G/a.weight"]


def test_update_adds_only_what_the_globs_mean(here):
    written(here, "gan.pt")
    new = drawn(6, 4)
    gan = torch.load(here / "gan.pt", weights_only=True)
    saved(here, G={**gan["G"], "x.weight": new}, D={**gan["D"], "y.weight": new})
    done = baseline(here, "update", "gan.pt", "--include", "*y.weight")
    assert "0 changed, 1 new, 0 gone" in done.stderr
    assert set(held(here)["gan.pt"]) == {"G/a.weight", "G/b.weight", "D/a.weight", "D/y.weight"}


@pytest.mark.parametrize(
    ("globs", "stays"),
    [
        ([], set()),
        (["--include", "G/*"], {"D/a.weight"}),
        (["--include", "a.weight"], {"G/b.weight"}),
        (["--include", "*.weight", "--exclude", "D/*"], {"D/a.weight"}),
        (["--exclude", "b.weight"], {"G/b.weight"}),
    ],
)
def test_weights_that_are_gone_leave_only_where_the_globs_mean_them(here, globs, stays):
    written(here, "gan.pt")
    saved(here, N={"new.weight": drawn(2, 2)})
    done = baseline(here, "update", "gan.pt", *globs)
    assert done.returncode == 0, done.stderr
    assert set(held(here)["gan.pt"]) - {"N/new.weight"} == stays


def test_a_weight_that_is_here_does_not_leave_because_a_part_of_its_key_is_meant(here):
    save_file({"blocks/0": drawn(3, 3), "0": drawn(2, 2)}, here / "slash.safetensors")
    written(here, "slash.safetensors")
    before = lines(here)
    done = baseline(here, "update", "slash.safetensors", "--include", "0")
    assert done.returncode == 0
    assert lines(here) == before


def test_a_glob_that_means_nothing_is_an_error(here):
    written(here, "gan.pt")
    before = lines(here)
    done = baseline(here, "update", "gan.pt", "--include", "G/*", "--include", "H/*")
    assert_refused(done, "--include: 'H/*' matches no weight")
    assert lines(here) == before


def test_update_keeps_mode_and_link(here):
    written(here, "one.safetensors")
    (here / NAME).rename(here / "real.json")
    (here / "real.json").chmod(0o640)
    (here / NAME).symlink_to("real.json")
    assert baseline(here, "update", "gan.pt").returncode == 0
    assert (here / NAME).is_symlink()
    assert stat.S_IMODE((here / "real.json").stat().st_mode) == 0o640
    assert set(held(here)) == {"gan.pt", "one.safetensors"}


def test_update_without_a_file_says_how_to_write_one(here):
    done = baseline(here, "update", "gan.pt")
    assert_refused(done, f"{NAME}: there is no such baseline\nhint: write it with")


def test_a_merge_conflict_is_said_before_anything_is_measured(here):
    written(here, "gan.pt")
    (here / NAME).write_bytes(b"\n".join([*lines(here)[:3], b"<<<<<<< HEAD", *lines(here)[3:]]))
    for command in (["update", "none.pt"], ["show"]):
        assert_refused(baseline(here, *command), "line 4 is the mark of a merge conflict")


@pytest.mark.parametrize("file", ["gan.pt", "-", "", "no/such/folder.json", "one.safetensors"])
def test_a_place_that_cannot_hold_a_baseline_is_refused(here, file):
    before = {each: (here / each).read_bytes() for each in ("gan.pt", "one.safetensors")}
    done = baseline(here, "write", "gan.pt", "--force", "--baseline", file)
    assert_refused(done, "normcli: ")
    assert {each: (here / each).read_bytes() for each in before} == before
    assert names(here) == sorted(before)


def test_a_configuration_does_not_narrow_what_is_recorded(here):
    (here / "normcli.toml").write_text('include = ["D/*"]\nrtol = 0.5\njobs = 1\n')
    written(here, "gan.pt")
    assert len(held(here)["gan.pt"]) == 3


def test_a_weight_without_an_effective_weight_is_recorded_and_said(here):
    state = {"parametrizations.weight.original": drawn(4, 4)}
    torch.save(state, here / "unknown.pt")
    done = written(here, "unknown.pt")
    line = held(here)["unknown.pt"]["weight"]
    assert set(line) == {"shape", "dtype", "state"}
    assert line["state"].startswith("unknown")
    assert "note: unknown.pt: 1 weight without numbers" in done.stderr


def test_a_folder_of_shards_is_known_by_its_name_and_has_the_weights_of_all(here):
    folder = here / "model"
    folder.mkdir()
    shards = {"a.w": "model-1.safetensors", "b.w": "model-2.safetensors"}
    for name, shard in shards.items():
        save_file({name: drawn(3, 3)}, folder / shard)
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    written(here, "model/")
    assert {name: set(weights) for name, weights in held(here).items()} == {"model": set(shards)}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_file_name_that_is_no_utf_8_is_kept(here):
    name = os.fsdecode(b"\xff.pt")
    (here / "gan.pt").rename(here / name)
    written(here, name)
    assert (here / NAME).read_bytes().isascii()
    assert set(json.loads((here / NAME).read_bytes())["checkpoints"]) == {name}
    assert f"left {NAME} as it was" in baseline(here, "update", name).stderr


def test_a_file_that_was_laid_out_by_hand_keeps_what_it_says(here):
    written(here, "gan.pt", "one.safetensors")
    content = json.loads((here / NAME).read_bytes())
    content["checkpoints"]["one.safetensors"]["w"]["frobenius"] = 1.23456789
    (here / NAME).write_text(json.dumps(content, indent=2))
    assert "0 changed, 0 new, 0 gone" in baseline(here, "update", "gan.pt").stderr
    assert json.loads((here / NAME).read_bytes()) == content
    assert len(lines(here)) == 10


def test_nan_is_recorded_and_compares_as_unchanged(here):
    torch.save({"w": torch.full((2, 2), torch.nan)}, here / "nan.pt")
    written(here, "nan.pt")
    assert held(here)["nan.pt"]["w"]["frobenius"] == "nan"
    assert "0 changed, 0 new, 0 gone" in baseline(here, "update", "nan.pt").stderr


def test_names_from_a_file_are_escaped_where_they_are_shown(here):
    torch.save({"\x1b[31m\n\u202e": drawn(2, 2)}, here / "bad.pt")
    written(here, "bad.pt")
    assert (here / NAME).read_bytes().isascii()
    for chosen in ("table", "plain", "csv", "markdown"):
        shown = baseline(here, "show", "-f", chosen)
        assert shown.returncode == 0
        assert "\x1b" not in shown.stdout
        assert "\\x1b[31m\\x0a\\u202e".replace("[", "") in shown.stdout.replace("[", "")


def test_show_of_json_is_the_file(here):
    written(here, "gan.pt", "one.safetensors")
    assert baseline(here, "show", "-f", "json").stdout.encode() == (here / NAME).read_bytes()


def test_show_is_plain_in_a_pipe_and_takes_names_and_globs(here):
    written(here, "gan.pt", "one.safetensors")
    everything = baseline(here, "show").stdout.splitlines()
    assert everything[0].split("\t")[:3] == ["checkpoint", "name", "shape"]
    assert [line.split("\t")[:2] for line in everything[1:]] == [
        ["gan.pt", "D/a.weight"],
        ["gan.pt", "G/a.weight"],
        ["gan.pt", "G/b.weight"],
        ["one.safetensors", "w"],
    ]
    some = baseline(here, "show", "gan.pt", "--include", "a.weight", "--exclude", "D/*").stdout
    assert [line.split("\t")[0] for line in some.splitlines()] == ["name", "G/a.weight"]


def test_show_of_a_table_has_every_number_and_the_counts(here):
    written(here, "gan.pt", "one.safetensors")
    table = baseline(here, "show", "-f", "table").stdout
    assert f"{held(here)['one.safetensors']['w']['spectral_norm']:.4f}"[:5] in table
    assert table.rstrip().endswith("2 checkpoints, 4 weights")
    assert (
        max(map(len, baseline(here, "show", "-f", "table", COLUMNS="40").stdout.split("\n"))) <= 40
    )


def test_show_of_an_unknown_checkpoint_says_which_was_meant(here):
    written(here, "gan.pt")
    assert_refused(baseline(here, "show", "gin.pt"), "knows no checkpoint 'gin.pt'\nhint: did you")


def test_show_does_not_write_over_the_baseline(here):
    written(here, "gan.pt")
    assert_refused(baseline(here, "show", "-o", NAME, "--force", "-f", "csv"), "is an input")


@pytest.mark.parametrize("arguments", [["show"], ["show", "-f", "json"], ["update", "--help"]])
def test_nothing_imports_torch_that_reads_no_checkpoint(here, arguments):
    written(here, "gan.pt")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "normcli", "baseline", *arguments],
        capture_output=True,
        text=True,
        cwd=here,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "numpy"}


@pytest.mark.parametrize("command", ["write", "update", "show"])
def test_help_is_as_wide_as_a_terminal_and_ends_with_examples(command):
    done = run("baseline", command, "--help", COLUMNS="80")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: normcli baseline {command} [OPTIONS] ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    *_, last = done.stdout.split("\n\n")
    assert last.startswith("Examples:\n")


def test_without_a_command_the_help_is_shown_and_the_code_is_2(tmp_path):
    done = run("baseline")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: normcli baseline COMMAND" in done.stderr
    listed = run("baseline", "--help")
    assert listed.returncode == 0
    assert all(f"\n  {command} " in listed.stdout for command in ("write", "update", "show"))
    assert "\n  baseline " in run("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["wrote"], "no such command 'wrote'"),
        (["write"], "missing argument 'PATH...'"),
        (["write", "x", "--dim", "w"], "--dim: 'w' is not GLOB=AXIS"),
        (["write", "x", "--device", "tpu"], "--device: no device is called 'tpu'"),
        (["write", "x", "--memory", "2QB"], "--memory: '2QB' is not a size"),
        (["update", "x", "--force"], "no such option: --force"),
        (["show", "-f", "xml"], "--format: no format is called 'xml'"),
    ],
)
def test_an_argument_that_cannot_be_meant_ends_with_2(here, arguments, sentence):
    (here / NAME).write_text(
        '{"schema": "normcli.baseline", "schema_version": 1, "checkpoints": {}}'
    )
    before = (here / NAME).read_bytes()
    more = ["--baseline", "b.json"] if arguments[0] == "write" and len(arguments) > 1 else []
    assert_refused(baseline(here, *arguments, *more), sentence)
    assert (here / NAME).read_bytes() == before
    assert not (here / "b.json").exists()
