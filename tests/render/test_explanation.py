"""Explanations, whole, against golden files; `pytest tests/render --write-golden` rewrites them."""

import io
import json
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from normcli.records import ExplainedParameter, Explanation
from normcli.render import Page
from normcli.render.explanation import EXPLANATION_FORMATS, ExplanationDocument

GOLDEN = Path(__file__).parent / "golden" / "explanation"
LIMIT = Explanation(
    "norm-limit",
    "error",
    False,
    "weights",
    True,
    ("spectral_norm",),
    "The norm σ₁ of a weight is at most `limit`, and it is so with a tolerance that is relative."
    "\n\nThe upper end of the bracket counts.",
    "A norm is the most by which a layer can stretch its input, and that is what a certified bound "
    "rests on.\n\nA second reason.",
    "One of these:\n\n- normcli refresh PATH\n- normcli apply PATH",
    (
        ExplainedParameter("limit", "largest σ₁", True),
        ExplainedParameter(
            "tolerance", "relative, of what was recorded of the weight", False, 0.001
        ),
        ExplainedParameter("dtype", "one, or several", False, ("float16",)),
        ExplainedParameter("start", "default depends on the weight", False),
    ),
    'schema = 1\n\n[[demand]]\nrule = "norm-limit"\nlimit = 1.5\n',
)
PARTS = Explanation(
    "parts", "warning", True, "checkpoint", False, (), "Nothing is missing.", "Why not.",
    "Mend it.", (), 'schema = 1\n\n[[demand]]\nrule = "parts"\n',
)  # fmt: skip
ONE, OTHER = (ExplanationDocument((each,), "0.0.0") for each in (LIMIT, PARTS))
ALL = ExplanationDocument((LIMIT, PARTS), "0.0.0", listed=True)
CASES = {
    "one.txt": (ONE, "text", {}),
    "one-40.txt": (ONE, "text", {"width": 40}),
    "one-ascii.txt": (ONE, "text", {"unicode": False}),
    "one-color.txt": (ONE, "text", {"color": True}),
    "other.txt": (OTHER, "text", {}),
    "all.txt": (ALL, "text", {}),
    "all-60.txt": (ALL, "text", {"width": 60}),
    "all.json": (ALL, "json", {}),
}


def written(document, name, **page):
    out = io.StringIO()
    EXPLANATION_FORMATS[name](document, Page(out, **page))
    return out.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_an_explanation_is_the_golden_file(case, write_golden):
    document, name, page = CASES[case]
    text = written(document, name, **page)
    if write_golden:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / case).write_text(text, encoding="utf-8", newline="\n")
    assert text == (GOLDEN / case).read_text(encoding="utf-8")


def test_no_other_golden_file_is_kept():
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("document", [ONE, OTHER, ALL])
def test_the_json_is_as_its_schema_says(document):
    text = files("normcli.render").joinpath("explanation.schema.json").read_text("utf-8")
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    found = written(document, "json")
    assert found.isascii()
    Draft202012Validator(schema).validate(json.loads(found))


@pytest.mark.parametrize("width", [50, 60, 100, 200])
def test_no_line_is_wider_than_the_page(width):
    for document in (ONE, OTHER, ALL):
        assert max(map(len, written(document, "text", width=width).splitlines())) <= width
