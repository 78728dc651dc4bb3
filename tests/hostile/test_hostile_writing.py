"""The cases of writing: each has its proofs, and a line in docs/reliability.md.

`pytest tests/hostile --write-golden` rewrites the table there.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
import writing_table
from writing_cases import WRITING

ROOT = Path(__file__).parents[2]
PROOFS = sorted({proof for each in WRITING for proof in each.proofs})


def imported(path, monkeypatch):
    """The module of a test file, with what stands beside it in reach."""
    monkeypatch.syspath_prepend(path.parent)
    name = f"proof_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted({proof.partition("::")[0] for proof in PROOFS}))
def test_every_proof_is_a_test(file, monkeypatch):
    module = imported(ROOT / file, monkeypatch)
    named = [proof.partition("::")[2] for proof in PROOFS if proof.startswith(f"{file}::")]
    assert [name for name in named if not callable(getattr(module, name, None))] == []
    assert all(name.startswith("test_") for name in named)


def test_there_are_twenty_cases_and_each_has_a_proof():
    assert len({each.case for each in WRITING}) == len(WRITING) == 20
    assert all(each.proofs for each in WRITING)


def test_the_page_has_the_table(request):
    if request.config.getoption("--write-golden"):
        writing_table.put()
    assert writing_table.section() == writing_table.table()
