"""What fuzzing, and reading with its eyes, found once: each defect as the smallest file of it."""

from __future__ import annotations

import hostile
import pytest
from hostile import integer, ordered_dict, pickle, row, table, tensor, text

from normcli import inspect


@pytest.mark.parametrize("odd", [b"]", integer(7), text("x"), row(text("x"))])
def test_metadata_that_is_no_dictionary_is_ignored_with_a_note(tmp_path, odd):
    weight = text("w") + tensor(shape=(2, 2), stride=(2, 1))
    state = table((text("_metadata"), odd))
    path = tmp_path / "model.pt"
    path.write_bytes(hostile.archive(pickle(ordered_dict() + weight + b"s" + state + b"b")))
    report = inspect(path)
    assert [each.key for each in report.measurements] == ["w"]
    assert "_metadata of '' is no dictionary; it was ignored" in report.notes
