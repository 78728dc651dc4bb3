"""Every mistake in a policy is said at once, each with its line."""

import pytest
from policy_rules import use

from normcli.errors import UsageError
from normcli.gate.policy import load_policy


@pytest.fixture(autouse=True)
def own_rules(monkeypatch):
    use(monkeypatch)


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """The lines of the refusal of a policy, without the file."""
    monkeypatch.chdir(tmp_path)

    def load(text, name="normcli.toml"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(UsageError) as caught:
            load_policy(path)
        return [line.removeprefix(f"{path}: ") for line in caught.value.lines]

    return load


def demand(rule, *lines):
    return "\n".join(["schema = 1", "[[demand]]", f"rule = '{rule}'", *lines])


def ignore(*lines):
    return "\n".join(["schema = 1", "[[ignore]]", *lines])


ONE = [
    ("fail-on = 'error'", "'schema' is missing"),
    ("schema = 2", "line 1: 'schema' is 2, expected 1"),
    ("schema = true", "line 1: 'schema' is true, expected 1"),
    ("schema = 1.0", "line 1: 'schema' is 1.0, expected 1"),
    ("schema = '1'", "line 1: 'schema' is '1', expected 1"),
    (
        "schema = 1\nfail_on = 'error'",
        "line 2: 'fail_on' is not known, did you mean 'fail-on'?",
    ),
    ("schema = 1\njbos = 1", "line 2: 'jbos' is not known, did you mean 'jobs'?"),
    (
        "schema = 1\nfail-on = 'info'",
        "line 2: 'fail-on' is 'info', expected 'error', 'warning' or 'never'",
    ),
    ("schema = 1\n[demand]\nrule = 'finite'", "line 2: 'demand' is a table, write [[demand]]"),
    ("schema = 1\nignore = 3", "line 2: 'ignore' is 3, write [[ignore]]"),
    ("schema = 1\ndemand = []", "line 2: 'demand' is [], expected at least 1 entry"),
    ("schema = 1\ndemand = [1]", "demand 1: found 1, expected a table"),
    ("schema = 1\n[[demand]]", "line 2: demand 1: 'rule' is missing"),
    (
        demand("spectral-limt"),
        "line 3: demand 1: no rule is called 'spectral-limt', did you mean 'spectral-limit'?",
    ),
    (demand("qqqq"), "line 3: demand 1: no rule is called 'qqqq'"),
    (
        "schema = 1\n[[demand]]\nrule = 1",
        "line 3: demand 1: 'rule' is 1, expected the name of a rule",
    ),
    (
        demand("spectral-limit", "limit = 1", "limt = 1"),
        "line 5: demand 1 (spectral-limit): 'limt' is not known, did you mean 'limit'?",
    ),
    (
        demand("finite", "path = 'x'"),
        "line 4: demand 1 (finite): 'path' is not known; known: rule, weights, optional, severity",
    ),
    (demand("spectral-limit"), "line 2: demand 1 (spectral-limit): 'limit' is missing"),
    (
        demand("spectral-limit", "limit = nan"),
        "line 4: demand 1 (spectral-limit): 'limit' is nan, expected a finite number",
    ),
    (
        demand("spectral-limit", "limit = inf"),
        "line 4: demand 1 (spectral-limit): 'limit' is inf, expected a finite number",
    ),
    (
        demand("spectral-limit", "limit = -1"),
        "line 4: demand 1 (spectral-limit): 'limit' is -1, expected greater than 0",
    ),
    (
        demand("spectral-limit", "limit = '1'"),
        "line 4: demand 1 (spectral-limit): 'limit' is '1', expected a number",
    ),
    (
        demand("spectral-limit", "limit = true"),
        "line 4: demand 1 (spectral-limit): 'limit' is true, expected a number",
    ),
    (
        demand("dtype", "dtype = 'bfloat61'"),
        "line 4: demand 1 (dtype): 'dtype' is 'bfloat61', did you mean 'bfloat16'?",
    ),
    (
        demand("dtype", "dtype = [1]"),
        (
            "line 4: demand 1 (dtype): 'dtype' is [1], expected 'bfloat16', 'float16', 'float32', "
            "'float64', 'float8_e4m3fn', 'float8_e5m2' or 'complex64' or a list of them"
        ),
    ),
    (
        demand("shape", "shape = [64, 1.5]"),
        "line 4: demand 1 (shape): 'shape' holds 1.5, expected an integer",
    ),
    (
        demand("finite", "weights = 'D/*'"),
        "line 4: demand 1 (finite): 'weights' is 'D/*', expected a list",
    ),
    (
        demand("finite", "weights = []"),
        "line 4: demand 1 (finite): 'weights' is [], expected at least 1 entry",
    ),
    (
        demand("finite", "weights = ['a', '']"),
        "line 4: demand 1 (finite): 'weights' holds '', expected a string that is not empty",
    ),
    (
        demand("finite", "severity = 'fatal'"),
        "line 4: demand 1 (finite): 'severity' is 'fatal', expected 'error' or 'warning'",
    ),
    (
        demand("finite", "optional = 1"),
        "line 4: demand 1 (finite): 'optional' is 1, expected true or false",
    ),
    (
        demand("finite", "weights = ['a']", "[[demand]]", "weights = ['a']", "rule = 'finite'"),
        "line 5: demand 2 (finite): says the same as demand 1",
    ),
    (ignore("rule = 'finite'"), "line 2: ignore 1 (finite): 'reason' is missing"),
    (
        ignore("rule = 'finite'", "reason = ' '"),
        "line 4: ignore 1 (finite): 'reason' is ' ', expected a string that is not empty",
    ),
    (ignore("reason = 'x'"), "line 2: ignore 1: 'rule' is missing"),
    (
        ignore("rule = 'finit'", "reason = 'x'"),
        "line 3: ignore 1: no rule is called 'finit', did you mean 'finite'?",
    ),
    (
        ignore("rule = 'finite'", "reason = 'x'", "until = '2027-06-30'"),
        (
            "line 5: ignore 1 (finite): 'until' is '2027-06-30', "
            "expected a date such as 2027-06-30, without quotes"
        ),
    ),
    (
        ignore("rule = 'finite'", "reason = 'x'", "until = 2027-06-30T12:00:00"),
        (
            "line 5: ignore 1 (finite): 'until' is 2027-06-30T12:00:00, "
            "expected a date such as 2027-06-30, without quotes"
        ),
    ),
    (
        ignore("rule = 'finite'", "reason = 'x'", "severity = 'error'"),
        "line 5: ignore 1 (finite): 'severity' is not known; known: rule, weights, reason, until",
    ),
]


@pytest.mark.parametrize(("text", "line"), ONE)
def test_a_mistake_is_one_line(refused, text, line):
    assert refused(text) == [line]


def test_several_are_counted_and_said_in_the_order_of_the_file(refused):
    text = """\
[[ignore]]
rule = "finite"

[[demand]]
rule = "spectral-limit"
limt = 1.01
weights = [
  "a",
  3,
]
"""
    assert refused(text) == [
        "5 mistakes in the policy",
        "line 1: ignore 1 (finite): 'reason' is missing",
        "line 4: demand 1 (spectral-limit): 'limit' is missing",
        "line 6: demand 1 (spectral-limit): 'limt' is not known, did you mean 'limit'?",
        "line 7: demand 1 (spectral-limit): 'weights' holds 3, expected a string",
        "'schema' is missing",
    ]


def test_a_pyproject_is_told_by_its_own_lines(refused):
    text = "[project]\n\n[tool.normcli]\nschema = 1\n[[tool.normcli.demand]]\nrule = 'finit'\n"
    assert refused(text, "pyproject.toml") == [
        "line 6: demand 1: no rule is called 'finit', did you mean 'finite'?"
    ]


def test_of_very_many_the_first_are_said(refused):
    first, *lines = refused("schema = 1\n" + "[[demand]]\n" * 1000)
    assert first == "1000 mistakes in the policy"
    assert len(lines) == 21
    assert lines[-1] == "and 980 more"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("schema = = 1", "is not TOML: "),
        ("a = 1\n\na = 2", "is not TOML: "),
        (b"\xff", "is not TOML: 'utf-8' codec"),
        ("schema = " + "[" * 100_000, "is not TOML: "),
        ("schema = " + "9" * 10_000, "is not TOML: "),
        ("", "holds no policy"),
        ("jobs = 1", "holds no policy"),
    ],
)
def test_what_is_no_policy_at_all_is_one_line(refused, text, start):
    (line,) = refused(text)
    assert line.startswith(start)


def test_a_file_that_is_not_toml_is_told_with_the_line(refused):
    (line,) = refused("schema = 1\n\nx = = 1\n")
    assert "line 3" in line


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError) as caught:
        load_policy(tmp_path / "none.toml")
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: No such file or directory"


def test_a_refusal_says_where_to_look(tmp_path):
    (tmp_path / "normcli.toml").write_text("schema = 2")
    with pytest.raises(UsageError) as caught:
        load_policy(tmp_path / "normcli.toml")
    assert "normcli explain" in caught.value.hint
