"""A sharded checkpoint is one checkpoint, whichever of its files are given to `check`."""

import shutil
from pathlib import Path

from normcli.commands.check import check
from normcli.formats import open_checkpoint
from normcli.records import Demand, Policy

SHARDED = Path(__file__).parents[2] / "sample_checkpoints" / "sngan-sharded"
FINITE = Policy((Demand("finite"),))


def test_the_shards_of_a_checkpoint_are_opened_once_whichever_are_given(monkeypatch):
    opened = []

    def counted(path, **options):
        opened.append(path)
        return open_checkpoint(path, **options)

    monkeypatch.setattr("normcli.commands.check.open_checkpoint", counted)
    paths = sorted(SHARDED.glob("*.safetensors"))
    assert len(paths) > 1
    assert check(paths, policy=FINITE).passed
    assert opened == [str(paths[0])]


def test_a_shard_of_two_indexes_is_refused_even_where_one_of_them_was_checked(tmp_path):
    shutil.copytree(SHARDED, tmp_path / "copy")
    (index,) = (tmp_path / "copy").glob("*.index.json")
    shutil.copy(index, index.with_name("model.safetensors.index.fp16.json"))
    shards = sorted((tmp_path / "copy").glob("*.safetensors"))
    verdict = check([index, *shards], policy=FINITE)
    assert [each.path for each in verdict.unread] == list(map(str, shards))


def test_a_sharded_checkpoint_is_checked_once_whatever_names_it():
    paths = [*sorted(SHARDED.iterdir()), SHARDED]
    verdict = check(paths, policy=FINITE)
    assert [each.report.path for each in verdict.checked] == [str(paths[0])]
    assert verdict.passed
