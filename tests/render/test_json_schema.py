"""Every JSON document is held to the schema that ships with the package."""

import io
import json
import math
from dataclasses import replace
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator
from render_records import GAN, SHARDED, TRACES, listing, report, trace
from rewriting_records import REWRITINGS, rewriting

from normcli.records import VERBS, Report
from normcli.render import FORMATS, Page
from normcli.render.document import Order
from normcli.render.rewriting import RewritingDocument
from normcli.render.rewriting_formats import REWRITING_FORMATS
from normcli.render.trace import TraceDocument
from normcli.render.trace_formats import TRACE_FORMATS

DOCUMENTS = {
    "report": [report(), report([]), report([GAN], Order("nan", limit=1)), report([SHARDED])],
    "listing": [listing(), listing([]), listing(order=Order("bytes", descending=True, limit=1))],
    "trace": [trace(found) for found in TRACES.values()],
    "rewriting": [rewriting(found) for found in REWRITINGS.values()],
}
FORMATS_OF = {TraceDocument: TRACE_FORMATS, RewritingDocument: REWRITING_FORMATS}
CASES = [(name, document) for name in DOCUMENTS for document in DOCUMENTS[name]]


def schema(name):
    return json.loads(files("normcli.render").joinpath(f"{name}.schema.json").read_text("utf-8"))


def text(document, name="json"):
    out = io.StringIO()
    formats = FORMATS_OF.get(type(document), FORMATS)
    formats[name](document, Page(out))
    return out.getvalue()


def objects(node):
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for child in node.values():
            yield from objects(child)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_is_valid_itself(name):
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_knows_every_field_and_describes_it(name):
    for node in objects(schema(name)):
        assert "additionalProperties" in node
        assert node["description"]
        for field in node.get("properties", {}).values():
            assert "description" in field or "$ref" in field


def test_a_receipt_may_be_of_every_verb_and_of_no_other():
    assert schema("rewriting")["properties"]["verb"]["enum"] == list(VERBS)


@pytest.mark.parametrize(("name", "document"), CASES)
def test_document_conforms(name, document):
    Draft202012Validator(schema(name)).validate(json.loads(text(document)))


@pytest.mark.parametrize(("name", "document"), CASES)
def test_json_is_ascii_and_has_no_number_that_json_has_not(name, document):
    def refuse(constant):
        raise AssertionError(constant)

    written = text(document)
    assert written.isascii()
    json.loads(written, parse_constant=refuse)


@pytest.mark.parametrize("name", ["report", "listing"])
def test_a_line_of_jsonl_is_a_weight_with_its_path(name):
    whole = schema(name)
    weight = Draft202012Validator({"$ref": "#/$defs/weight", "$defs": whole["$defs"]})
    for line in text(DOCUMENTS[name][0], "jsonl").splitlines():
        record = json.loads(line)
        assert isinstance(record.pop("path"), str)
        weight.validate(record)


@pytest.mark.parametrize("found", TRACES.values(), ids=TRACES)
def test_a_line_of_jsonl_is_a_step_with_its_path_and_name(found):
    whole = schema("trace")
    step = Draft202012Validator({"$ref": "#/$defs/step", "$defs": whole["$defs"]})
    lines = text(trace(found), "jsonl").splitlines()
    assert len(lines) == len(found.steps)
    for line in lines:
        record = json.loads(line)
        assert (record.pop("path"), record.pop("name")) == (found.path, found.name)
        step.validate(record)


def test_json_holds_true_names_and_every_digit():
    weights = json.loads(text(report([GAN, SHARDED])))["checkpoints"]
    assert weights[1]["weights"][0]["name"].startswith("evil[red]/a\x1b[31m\n\t|")
    assert weights[0]["weights"][0]["spectral_norm"]["upper"] == 1.016 * (1 + 1e-7)
    assert weights[0]["weights"][2]["frobenius"] == "nan"
    assert math.isinf(float(weights[0]["weights"][2]["spectral_norm"]["upper"]))


def test_one_file_has_its_hash_and_shards_have_theirs():
    gan, sharded = json.loads(text(report([GAN, SHARDED])))["checkpoints"]
    assert gan["sha256"] == GAN.files[0].sha256
    assert "files" not in gan
    assert [each["sha256"] for each in sharded["files"]] == [f.sha256 for f in SHARDED.files]


def test_all_brackets_together_are_as_sure_as_the_sum_of_theirs_allows():
    brackets = [m.spectral_norm for m in GAN.measurements if m.spectral_norm]
    found = json.loads(text(report([GAN])))["checkpoints"][0]["failure_probability"]
    assert found == pytest.approx(sum(each.failure_probability for each in brackets))
    assert 0 < found < 1


def test_where_no_spectral_norm_was_asked_for_nothing_is_said_of_brackets():
    unasked = replace(
        GAN, measurements=tuple(replace(m, spectral_norm=None) for m in GAN.measurements)
    )
    document = report([unasked])
    Draft202012Validator(schema("report")).validate(json.loads(text(document)))
    assert "failure_probability" not in json.loads(text(document))["checkpoints"][0]


def test_what_limit_cut_is_said_in_the_notes():
    document = report([GAN], Order(limit=2))
    assert json.loads(text(document))["checkpoints"][0]["notes"][-1] == "shows 2 of 7 weights"


def test_one_weight_is_one_line():
    lines = text(report([GAN])).splitlines()
    assert sum('"parameters"' in line for line in lines) == len(GAN.measurements)


def test_report_without_weights_is_a_report():
    document = report([Report("empty.pt", "torch-zip", ())])
    Draft202012Validator(schema("report")).validate(json.loads(text(document)))
