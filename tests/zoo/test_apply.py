"""What apply writes, in torch's own modules: every kind, family, layout and dtype."""

from __future__ import annotations

from functools import cache

import pytest
import torch
import written
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm
from written import DTYPES, STALLS, TARGETS

import normcli

CASES = written.cases("spectral", "weight")
SPECTRAL = [case for case in CASES if case.values[0] == "spectral"]
WEIGHT = [case for case in CASES if case.values[0] == "weight"]
BAKED = [
    pytest.param(dtype, stall, id=f"{dtype}-{stall}")
    for dtype in DTYPES
    for stall in STALLS["spectral"]
]
STARTS = [(15, 0), (15, 7), (0, 3), (1, 5), (4, 1)]


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """(family, options) → the state dict that `normcli.apply` writes for a plain menagerie."""
    folder = tmp_path_factory.mktemp("applied")

    @cache
    def plain(family, dtype):
        state = written.menagerie(family, "plain", dtype).state_dict()
        return written.save(state, folder / f"{family}-{dtype}.pt")

    @cache
    def write(family, layout, dtype, **options):
        output = folder / f"{family}-{layout}-{dtype}-{len(list(folder.iterdir()))}.pt"
        done = normcli.apply(
            plain(family, dtype),
            norm=family,
            layout=layout,
            output=output,
            include=[f"{stall.name}*.{stall.kind.weight}" for stall in STALLS[family]],
            dims=written.row_axes(family),
            **options,
        )
        assert str(done.output) == str(output)
        return written.load(output)

    return write


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), CASES)
def test_the_keys_shapes_and_dtypes_are_those_that_torch_writes(
    applied, family, target, dtype, stalls
):
    for stall in stalls:
        part = written.of_stall(applied(family, target, dtype), stall)
        theirs = stall.normed(family, target, dtype).state_dict()
        written.assert_spelled_alike(part, theirs)
        written.assert_same_metadata(part, theirs)


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), WEIGHT)
def test_weight_norm_is_bit_for_bit_what_torch_puts_on(applied, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(applied(family, target, dtype), stall)
        theirs = stall.normed(family, target, dtype)
        written.assert_equal(part, theirs.state_dict())
        module = written.loaded(stall.normed(family, target, dtype, salt="fresh"), part)
        assert torch.equal(written.output(module), written.output(theirs))


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), SPECTRAL)
def test_the_original_is_the_weight_and_all_else_is_as_it_was(
    applied, family, target, dtype, stalls
):
    for stall in stalls:
        part = written.of_stall(applied(family, target, dtype), stall)
        theirs = stall.normed(family, target, dtype).state_dict()
        vectors = [key for key in theirs if theirs[key].ndim == 1 and key.endswith(("_u", "_v"))]
        assert len(vectors) == 2
        written.assert_equal(
            {key: tensor for key, tensor in part.items() if key not in vectors},
            {key: tensor for key, tensor in theirs.items() if key not in vectors},
        )


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), SPECTRAL)
def test_torch_divides_by_the_exact_spectral_norm(applied, family, target, dtype, stalls):
    for stall in stalls:
        part = written.of_stall(applied(family, target, dtype), stall)
        module = written.loaded(stall.normed(family, target, dtype, salt="fresh"), part)
        (norm,) = written.modules._norms(module, stall.kind.weight)
        exact = written.singular_value(norm.original, stall.axis)
        assert norm.sigma == pytest.approx(exact, rel=written.SIGMA[dtype])
        for vector in (norm.u, norm.v):
            rounding = 4 * torch.finfo(vector.dtype).eps
            assert vector.double().norm().item() == pytest.approx(1, abs=rounding)


@pytest.mark.parametrize(("family", "target", "dtype", "stalls"), SPECTRAL)
def test_the_layer_computes_as_torchs_own_with_converged_vectors(
    applied, family, target, dtype, stalls
):
    for stall in stalls:
        part = written.of_stall(applied(family, target, dtype), stall)
        module = written.loaded(stall.normed(family, target, dtype, salt="fresh"), part)
        theirs = stall.normed(family, target, dtype)
        state = theirs.state_dict()
        plain = getattr(stall.make(dtype), stall.kind.weight)
        for letter, vector in zip("uv", written.top_pair(plain, stall.axis), strict=True):
            (key,) = (key for key in state if key.endswith(f"_{letter}"))
            state[key].copy_(vector)
        expected = written.output(written.loaded(theirs, state))
        written.assert_same_output(written.output(module), expected, dtype)


class _Starting(parametrizations._SpectralNorm):
    """Torch's parametrization with another number of steps at its start than fifteen."""

    steps = 15

    def _power_method(self, weight_mat, n_power_iterations):
        assert n_power_iterations == 15
        super()._power_method(weight_mat, self.steps)


def _started(stall, target, dtype, iterations, seed):
    """The state dict that torch would begin with."""
    module, name = stall.make(dtype).eval(), stall.kind.weight
    torch.manual_seed(seed)
    if target == "parametrized" and iterations == 15:
        return parametrizations.spectral_norm(module, name).state_dict()
    if target == "parametrized":
        kind = type("Kind", (_Starting,), {"steps": iterations})
        norm = kind(getattr(module, name), dim=stall.axis).eval()
        return nn.utils.parametrize.register_parametrization(module, name, norm).state_dict()
    spectral_norm(module, name)
    (hook,) = module.train()._forward_pre_hooks.values()
    with torch.no_grad():
        for _ in range(iterations):
            hook(module, ())
    return module.state_dict()


@pytest.mark.parametrize(("iterations", "seed"), STARTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_so_many_iterations_start_as_torch_starts(applied, dtype, target, iterations, seed):
    state = applied("spectral", target, dtype, iterations=iterations, seed=seed)
    for stall in STALLS["spectral"]:
        theirs = _started(stall, target, dtype, iterations, seed)
        written.assert_equal(written.of_stall(state, stall), theirs)


def _room(dtype):
    """Relative error of a quotient that is rounded once to the dtype."""
    return 1e-6 + torch.finfo(getattr(torch, dtype)).eps


def _norms_before_and_after(applied, dtype, stall, **options):
    part = written.of_stall(applied("spectral", "plain", dtype, **options), stall)
    plain = stall.make(dtype)
    written.assert_spelled_alike(part, plain.state_dict())
    before = written.singular_value(getattr(plain, stall.kind.weight), stall.axis)
    return before, written.singular_value(part[stall.kind.weight], stall.axis)


@pytest.mark.parametrize(("dtype", "stall"), BAKED)
def test_a_baked_weight_is_divided_by_its_spectral_norm(applied, dtype, stall):
    _, after = _norms_before_and_after(applied, dtype, stall)
    assert after == pytest.approx(1, rel=_room(dtype))
    part = written.of_stall(applied("spectral", "plain", dtype), stall)
    plain = stall.make(dtype)
    weight = getattr(plain, stall.kind.weight).detach()
    expected = weight.double() / written.singular_value(weight, stall.axis)
    found = part[stall.kind.weight].double()
    torch.testing.assert_close(found, expected, rtol=_room(dtype), atol=1e-7)
    others = plain.state_dict()
    del part[stall.kind.weight], others[stall.kind.weight]
    written.assert_equal(part, others)


@pytest.mark.parametrize("coefficient", [0.5, 3.0])
@pytest.mark.parametrize(("dtype", "stall"), BAKED)
def test_a_coefficient_is_the_spectral_norm_afterwards(applied, dtype, stall, coefficient):
    _, after = _norms_before_and_after(applied, dtype, stall, coefficient=coefficient)
    assert after == pytest.approx(coefficient, rel=_room(dtype))


CLIP = 1.3  # between the smallest and the largest norm of the menagerie


@pytest.mark.parametrize(("dtype", "stall"), BAKED)
def test_a_clip_scales_only_what_exceeds_it(applied, dtype, stall):
    before, after = _norms_before_and_after(applied, dtype, stall, clip=CLIP)
    if before > CLIP:
        assert after == pytest.approx(CLIP, rel=_room(dtype))
    else:
        part = written.of_stall(applied("spectral", "plain", dtype, clip=CLIP), stall)
        written.assert_equal(part, stall.make(dtype).state_dict())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_clip_of_these_tests_is_exceeded_by_some_and_not_by_others(dtype):
    exceed = {
        written.singular_value(getattr(stall.make(dtype), stall.kind.weight), stall.axis) > CLIP
        for stall in STALLS["spectral"]
    }
    assert exceed == {True, False}
