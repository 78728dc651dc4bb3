"""Weights that are left as they are: which, why, bit for bit, and where that is an error."""

from __future__ import annotations

import pytest
import torch
from initialized_nets import are_equal, assert_standard, initialized, left, outputs, read, saved
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.commands.initialize_checkpoint import initialize_checkpoint
from normcli.errors import UsageError

torch.set_num_threads(1)


class Odd(nn.Module):
    """Two ordinary layers among those that cannot be initialized."""

    def __init__(self, norm=lambda module: module):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.twice = norm(nn.Linear(8, 8))
        self.never = norm(nn.Linear(8, 3))
        self.bare = norm(nn.Linear(8, 8, bias=False))
        self.dead = norm(nn.Linear(8, 4))
        self.last = norm(nn.Linear(8, 5))
        with torch.no_grad():
            self.last.bias.add_(1)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        x = self.bare(self.twice(torch.relu(self.twice(x))))
        return self.dead(torch.zeros_like(x)).sum() + self.last(x)


REASONS = {
    "twice.weight": "its layer is used 2 times",
    "never.weight": "its layer never ran",
    "bare.weight": "its layer has no bias",
    "dead.weight": "4 of 4 units do not vary over the batch",
}
NORMS = {
    "plain": lambda module: module,
    "legacy": weight_norm,
    "parametrized": parametrizations.weight_norm,
}
BATCH = torch.linspace(-2, 2, 32 * 6).sin().reshape(32, 6)


def _odd(form="plain", seed=1):
    torch.manual_seed(seed)
    return Odd(NORMS[form]).eval()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("layout", [None, "legacy", "parametrized", "plain"])
@pytest.mark.parametrize("form", NORMS)
def test_what_cannot_be_initialized_is_told_and_stays_bit_for_bit(form, layout, suffix, tmp_path):
    source = _odd(form)
    before = source.state_dict()
    told, after = initialized(tmp_path, before, _odd(form, 2), BATCH, suffix=suffix, layout=layout)
    assert left(told) == REASONS
    assert {step.name for step in told.steps} == {"first.weight", "last.weight"}
    assert are_equal(before, after, "twice", "never", "bare", "dead")
    if layout is None:
        net = _odd(form, 3)
        net.load_state_dict(after, strict=True)
        assert_standard(net, BATCH, ["first", "last"])


def test_a_weight_that_is_left_is_told_with_its_section(tmp_path):
    content = {"net": _odd().state_dict(), "epoch": 3}
    told, after = initialized(tmp_path, content, _odd(seed=2), BATCH)
    assert left(told) == {f"net/{key}": reason for key, reason in REASONS.items()}
    assert are_equal(content["net"], after["net"], "twice", "never", "bare", "dead")


def _raises(folder, state, model, **options):
    """The sentence and the hint of the error; nothing was written."""
    path, batch = saved(state, folder / "in.pt"), folder / "batch.safetensors"
    save_file({"input": BATCH}, batch)
    names, content = sorted(folder.iterdir()), path.read_bytes()
    with pytest.raises(UsageError) as caught:
        initialize_checkpoint(path, model=model, batch=batch, output=folder / "out.pt", **options)
    assert (sorted(folder.iterdir()), path.read_bytes()) == (names, content)
    return str(caught.value), caught.value.hint


def test_strict_makes_it_an_error(tmp_path):
    said, hint = _raises(tmp_path, _odd().state_dict(), _odd(seed=2), strict=True)
    assert said == (
        f"{tmp_path}/in.pt: 4 of 6 weights cannot be initialized: "
        "'bare.weight': its layer has no bias; 'twice.weight': its layer is used 2 times; "
        "'never.weight': its layer never ran; and 1 more"
    )
    assert hint == "without --strict they are left as they are"


def test_an_error_names_weights_as_the_file_does(tmp_path):
    state = {f"module.{key}": tensor for key, tensor in _odd().state_dict().items()}
    options = {"strict": True, "prefix": "module", "include": ["net/module.[fn]*"]}
    said, _ = _raises(tmp_path, {"net": state}, _odd(seed=2), **options)
    assert said.endswith(
        ": 1 of 2 weights cannot be initialized: 'net/module.never.weight': its layer never ran"
    )


def test_strict_is_content_where_all_that_is_asked_for_can_be_initialized(tmp_path):
    told, _ = initialized(
        tmp_path, _odd().state_dict(), _odd(seed=2), BATCH, strict=True, include=["*st.weight"]
    )
    assert told.left == ()
    assert {step.name for step in told.steps} == {"first.weight", "last.weight"}


@pytest.mark.parametrize("key", REASONS)
def test_a_weight_that_is_named_and_cannot_be_taken_is_an_error(key, tmp_path):
    options = {"include": [key, "first.weight"]}
    said, _ = _raises(tmp_path, _odd().state_dict(), _odd(seed=2), **options)
    assert said == f"--include: '{key}' cannot be taken: {REASONS[key]}"


def test_a_pattern_that_matches_what_cannot_be_taken_is_none(tmp_path):
    told, _ = initialized(
        tmp_path, _odd().state_dict(), _odd(seed=2), BATCH, include=["[df]*.weight"]
    )
    assert left(told) == {"dead.weight": REASONS["dead.weight"]}


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path):
    said, _ = _raises(tmp_path, _odd().state_dict(), _odd(seed=2), include=["fist.weight"])
    assert said.startswith("--include: 'fist.weight' matches none of ")


def test_where_nothing_can_be_initialized_nothing_is_written(tmp_path):
    state = _odd().state_dict()
    said, _ = _raises(tmp_path, state, _odd(seed=2), include=["never*", "bare*"])
    assert said == (
        f"{tmp_path}/in.pt: nothing to initialize: "
        "'bare.weight': its layer has no bias; 'never.weight': its layer never ran"
    )


GLOBS = [
    ({"include": ["net/first.weight"]}, {"first"}),
    ({"include": ["first.*"]}, {"first"}),
    ({"include": ["net/*"]}, {"first", "last"}),
    ({"exclude": ["net/last*"]}, {"first"}),
    ({"exclude": ["first.weight"]}, {"last"}),
    ({"include": ["*.weight"], "exclude": ["net/f*"]}, {"last"}),
]


@pytest.mark.parametrize(("options", "done"), GLOBS)
def test_globs_are_of_the_name_or_the_key(options, done, tmp_path):
    content = {"net": _odd().state_dict(), "other": {"first.weight": torch.ones(2, 2)}}
    told, after = initialized(tmp_path, content, _odd(seed=2), BATCH, section="net", **options)
    assert {step.name for step in told.steps} == {f"net/{path}.weight" for path in done}
    for path in ("first", "last"):
        assert are_equal(content["net"], after["net"], path) == (path not in done)
    assert torch.equal(after["other"]["first.weight"], torch.ones(2, 2))


def _spectral(norm, seed=1):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), norm(nn.Linear(8, 5)), nn.Linear(5, 4))
    for _ in range(9):
        net(torch.randn(4, 6))
    return net.eval()


SPECTRAL = {"legacy": spectral_norm, "parametrized": parametrizations.spectral_norm}


@pytest.mark.parametrize("layout", SPECTRAL)
def test_a_layer_under_spectral_norm_is_left(layout, tmp_path):
    state = _spectral(SPECTRAL[layout]).state_dict()
    model = _spectral(SPECTRAL[layout], 2)
    told, after = initialized(tmp_path, state, model, BATCH)
    reason = "under spectral, not under weight norm alone: its scale is not free"
    assert left(told) == {"2.weight": reason}
    assert are_equal(state, after, "2")
    net = _spectral(SPECTRAL[layout], 3)
    net.load_state_dict(after, strict=True)
    assert_standard(net, BATCH, ["0", "3"])


@pytest.mark.parametrize("layout", SPECTRAL)
def test_a_spectral_norm_that_the_model_does_not_have_is_left_without_a_layout(layout, tmp_path):
    source = _spectral(SPECTRAL[layout])
    state, plain = source.state_dict(), _spectral(lambda module: module, 2)
    told, after = initialized(tmp_path, state, plain, BATCH)
    reason = f"stored under spectral {layout}: --layout says how its result is stored"
    assert left(told) == {"2.weight": reason}
    assert are_equal(state, after, "2")
    source.load_state_dict(after, strict=True)
    assert_standard(source, BATCH, ["0", "3"])


@pytest.mark.parametrize("result", ["legacy", "parametrized", "plain"])
@pytest.mark.parametrize("layout", SPECTRAL)
def test_a_spectral_norm_that_the_model_does_not_have_gives_way_to_a_layout(
    layout, result, tmp_path
):
    source = _spectral(SPECTRAL[layout])
    state, plain = source.state_dict(), _spectral(lambda module: module, 2)
    told, after = initialized(tmp_path, state, plain, BATCH, layout=result)
    assert told.left == ()
    net = _spectral(lambda module: module, 3)
    for index in (0, 2, 3):
        NORMS[result](net[index])
    net.load_state_dict(after, strict=True)
    assert_standard(net, BATCH)
    assert dict(after._metadata) == dict(net.state_dict()._metadata)


@pytest.mark.parametrize("result", ["legacy", "parametrized"])
def test_the_row_axis_of_a_spectral_norm_is_not_that_of_the_weight_norm_after_it(result, tmp_path):
    """A square transposed convolution: rows on axis 1, g on axis 0, as torch puts both on."""
    source, batch = spectral_norm(nn.ConvTranspose2d(5, 5, 3)).eval(), torch.randn(8, 5, 4, 4)
    _, after = initialized(
        tmp_path,
        source.state_dict(),
        nn.ConvTranspose2d(5, 5, 3),
        batch,
        layout=result,
        dims={"weight": 1},
    )
    net = NORMS[result](nn.ConvTranspose2d(5, 5, 3))
    net.load_state_dict(after, strict=True)
    assert_standard(net, batch)


def test_units_that_do_not_vary_leave_the_layers_behind_them_as_they_would_be(tmp_path):
    """What flows on from a layer that is left is what it gives."""
    source = _odd()
    _, after = initialized(tmp_path, source.state_dict(), _odd(seed=2), BATCH)
    net = _odd()
    net.load_state_dict(after)
    assert torch.equal(outputs(net, BATCH)[0]["dead"][0], net.dead.bias[0].double().expand(32))
    assert read(tmp_path / "out.pt").keys() == source.state_dict().keys()
