"""Every format, whole, against golden files; `pytest tests/render --write-golden` rewrites them."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from render_records import GAN, LISTINGS, PLAIN, SPECTRAL, listing, report, trace
from rewriting_records import INITIALIZED, rewriting
from rewriting_records import PLAN as PLANNED

from normcli.records import Report
from normcli.render import FORMATS, Page
from normcli.render.document import Order
from normcli.render.rewriting import RewritingDocument
from normcli.render.rewriting_formats import REWRITING_FORMATS
from normcli.render.trace import TraceDocument
from normcli.render.trace_formats import TRACE_FORMATS

GOLDEN = Path(__file__).parent / "golden"
SUFFIXES = {
    "table": "txt",
    "plain": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "csv": "csv",
    "markdown": "md",
}
DOCUMENTS = {
    "report": report(),
    "listing": listing(),
    "trace": trace(),
    "rewriting": rewriting(),
    "plan": rewriting(PLANNED),
    "initialize": rewriting(INITIALIZED),
}
FORMATS_OF = {TraceDocument: TRACE_FORMATS, RewritingDocument: REWRITING_FORMATS}
PAGES = {
    "80": {"width": 80},
    "200": {"width": 200},
    "40": {"width": 40},
    "ascii": {"unicode": False},
    "color": {"color": True},
}
WHOLE = [kind for kind in DOCUMENTS if kind != "plan"]  # of a plan only tables are of interest
CASES = {f"{kind}.{SUFFIXES[name]}": (kind, name, {}) for kind in WHOLE for name in FORMATS}
CASES |= {
    f"{kind}-{case}.txt": (kind, "table", page) for kind in WHOLE for case, page in PAGES.items()
}
CASES |= {"initialize-120.txt": ("initialize", "table", {"width": 120})}
CASES |= {
    f"rewriting-plan-{width}.txt": ("plan", "table", {"width": width}) for width in (40, 80, 120)
}


def written(document, name, **page):
    out = io.StringIO()
    formats = FORMATS_OF.get(type(document), FORMATS)
    formats[name](document, Page(out, **page))
    return out.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_output_is_the_golden_file(case, write_golden):
    kind, name, page = CASES[case]
    text = written(DOCUMENTS[kind], name, **page)
    path = GOLDEN / case
    if write_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def test_every_format_has_a_golden_file_and_no_other_is_kept():
    assert set(SUFFIXES) == set(FORMATS) == set(TRACE_FORMATS) == set(REWRITING_FORMATS)
    assert {path.name for path in GOLDEN.iterdir() if path.is_file()} == set(CASES)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_a_checkpoint_without_weights(name):
    empty = Report("empty.pt", "torch-zip", ())
    assert written(report([empty]), name).strip() or name == "jsonl"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_with_a_line_break(name):
    assert written(report(), name).endswith("\n")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("json", "jsonl")])
def test_chosen_columns_are_the_columns(name):
    document = report([GAN], chosen=("spectral_norm_method", "name"))
    text = written(document, name)
    assert "gram-cholesky" in text
    assert "float32" not in text


@pytest.mark.parametrize("name", FORMATS)
def test_sort_and_limit_reach_every_format(name):
    document = report([GAN], order=Order("frobenius", descending=False, limit=2))
    text = written(document, name)
    assert text.index(PLAIN.key) < text.index(SPECTRAL.key)
    assert "fc.weight" not in text


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_brackets_that_are_certain_need_no_word(name):
    certain = replace(PLAIN, spectral_norm=replace(PLAIN.spectral_norm, failure_probability=0.0))
    assert "probability" in written(report([replace(GAN, measurements=(PLAIN,))]), name)
    assert "probability" not in written(report([replace(GAN, measurements=(certain,))]), name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_listing_can_be_cut(name):
    assert "embed" not in written(listing(LISTINGS[:1], order=Order(limit=2)), name)
