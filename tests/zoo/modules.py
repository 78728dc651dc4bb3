"""The zoo: every kind of module × every layout that torch can write × four dtypes.

Each exhibit is built with torch's own calls, settled as training settles it, saved, and loaded
strictly into a fresh module; what torch's own removal then leaves in that module is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn.utils import (
    parametrizations,
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from torch.nn.utils.parametrize import remove_parametrizations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFIX = "layer"  # every module is an attribute of that name, so that keys have a path
SETTLING_STEPS = 20  # training forwards: enough for u and v to tell one row axis from another
DTYPES = ("float32", "float64", "float16", "bfloat16")


@dataclass(frozen=True)
class Kind:
    """How to make a module, which of its parameters is the weight, and torch's row axis."""

    make: Callable[[], nn.Module]
    weight: str = "weight"
    rows: int = 0

    @property
    def ndim(self) -> int:
        return getattr(self.make(), self.weight).ndim


KINDS = {
    "linear": Kind(lambda: nn.Linear(7, 5)),
    "square linear": Kind(lambda: nn.Linear(6, 6)),
    "wide linear": Kind(lambda: nn.Linear(40, 3)),
    "tall linear": Kind(lambda: nn.Linear(3, 40)),
    "linear with one output": Kind(lambda: nn.Linear(9, 1)),
    "linear with one input": Kind(lambda: nn.Linear(1, 9)),
    "bilinear": Kind(lambda: nn.Bilinear(3, 4, 5)),
    "embedding": Kind(lambda: nn.Embedding(11, 4)),
    "conv1d": Kind(lambda: nn.Conv1d(4, 6, 5)),
    "conv2d": Kind(lambda: nn.Conv2d(3, 5, 3)),
    "conv2d of one pixel": Kind(lambda: nn.Conv2d(6, 4, 1)),
    "square conv2d of one pixel": Kind(lambda: nn.Conv2d(5, 5, 1)),
    "conv2d with kernel as wide as its channels": Kind(lambda: nn.Conv2d(3, 3, 3)),
    "grouped conv2d": Kind(lambda: nn.Conv2d(6, 8, 3, groups=2)),
    "depthwise conv2d": Kind(lambda: nn.Conv2d(6, 6, 3, groups=6)),
    "conv3d": Kind(lambda: nn.Conv3d(2, 4, (2, 3, 2))),
    "conv transpose 1d": Kind(lambda: nn.ConvTranspose1d(4, 6, 3), rows=1),
    "conv transpose 2d": Kind(lambda: nn.ConvTranspose2d(3, 5, 3), rows=1),
    "square conv transpose 2d": Kind(lambda: nn.ConvTranspose2d(4, 4, 3), rows=1),
    "conv transpose 3d": Kind(lambda: nn.ConvTranspose3d(2, 3, 2), rows=1),
    "square conv transpose 3d": Kind(lambda: nn.ConvTranspose3d(4, 4, 2), rows=1),
    "lstm": Kind(lambda: nn.LSTM(3, 4), weight="weight_hh_l0"),
    "gru": Kind(lambda: nn.GRU(3, 4), weight="weight_ih_l0"),
    "attention": Kind(lambda: nn.MultiheadAttention(6, 2), weight="in_proj_weight"),
}


@dataclass(frozen=True)
class Layout:
    """One way to write norms: which call puts them on, in order, and which takes them off.

    `norms` holds ("spectral", None) for torch's default row axis, and ("weight", dim), where a
    dim of "last" is the last axis of the weight and None one norm over the whole tensor.
    """

    spelling: str
    norms: tuple[tuple[str, int | str | None], ...]

    def fits(self, ndim: int) -> bool:
        """Whether the layout says something that another one does not say in so many axes."""
        return not any(dim == "last" and ndim <= 2 for family, dim in self.norms)


_SPECTRAL = ("spectral", None)
LAYOUTS = {
    "plain": Layout("plain", ()),
    "hooked spectral norm": Layout("legacy", (_SPECTRAL,)),
    "parametrized spectral norm": Layout("parametrized", (_SPECTRAL,)),
    **{
        f"{verb} weight norm, dim {dim}": Layout(spelling, (("weight", dim),))
        for verb, spelling in (("hooked", "legacy"), ("parametrized", "parametrized"))
        for dim in (0, 1, "last", None)
    },
    "spectral norm twice": Layout("parametrized", (_SPECTRAL, _SPECTRAL)),
    "spectral norm on weight norm": Layout("parametrized", (("weight", 0), _SPECTRAL)),
}


@dataclass(frozen=True)
class Case:
    """One exhibit's label."""

    kind: str
    layout: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.kind}, {self.layout}, {self.dtype}"

    @property
    def key(self) -> str:
        """State-dict key of the weight."""
        return f"{PREFIX}.{KINDS[self.kind].weight}"

    @property
    def families(self) -> tuple[str, ...]:
        """Of the norms, in the order in which they act."""
        return tuple(family for family, _ in LAYOUTS[self.layout].norms)


CASES = [
    Case(kind, layout, dtype)
    for kind, layout, dtype in product(KINDS, LAYOUTS, DTYPES)
    if LAYOUTS[layout].fits(KINDS[kind].ndim)
]


@dataclass(frozen=True)
class Norm:
    """What a norm state holds; `dims` are the row axes that mean the same to torch."""

    family: str
    dims: tuple[int | None, ...]
    original: Tensor | None = None
    sigma: float | None = None
    u: Tensor | None = None
    v: Tensor | None = None
    g: Tensor | None = None


@dataclass(frozen=True)
class Truth:
    """What torch says about an exhibit: all of it found without normcli.

    Attributes:
        weight: What removal leaves.
        rows: Row axis of the matrix that the spectral norm is of.
        norms: In the order in which they act.
        power: σ̂ of the effective weight after the power iteration that torch would do.
    """

    weight: Tensor
    rows: int
    norms: tuple[Norm, ...]
    power: float

    @property
    def matrix(self) -> Tensor:
        """The weight with the row axis first, float64 or complex128."""
        return matrix_of(self.weight, self.rows)


def matrix_of(weight: Tensor, rows: int) -> Tensor:
    """Shape (m, n), float64 or complex128."""
    wide = weight.to(torch.complex128 if weight.is_complex() else torch.float64)
    return wide.movedim(rows, 0).flatten(1)


def build(case: Case, salt: str = "") -> nn.ModuleDict:
    """The module with its norms, settled; another salt gives other numbers in the same shapes."""
    kind, layout = KINDS[case.kind], LAYOUTS[case.layout]
    torch.manual_seed(crc32(f"{case}{salt}".encode()))
    module = kind.make().to(getattr(torch, case.dtype))
    for family, dim in layout.norms:
        axis = kind.ndim - 1 if dim == "last" else dim
        _put_on(module, kind.weight, layout.spelling, family, axis)
    _train(module, kind.weight)
    return nn.ModuleDict({PREFIX: module})


def save(case: Case, path: Path) -> None:
    """The state dict as torch.save writes it, `_metadata` and all."""
    torch.save(build(case).state_dict(), path)


def truth(case: Case, path: Path) -> Truth:
    """What torch makes of the file: strict load into a fresh module, `.eval()`, removal."""
    loaded = build(case, salt="fresh")
    loaded.load_state_dict(torch.load(path, weights_only=True), strict=True)
    module, kind = loaded[PREFIX].eval(), KINDS[case.kind]
    with torch.no_grad():
        norms = _norms(module, kind.weight)
        weight = _taken_off(module, kind.weight)
        rows = kind.rows if "spectral" in case.families else 0
        power = _one_more_step(case, path, weight) if norms and norms[-1].u is not None else None
        if power is None:
            power = fifteen_steps(weight, rows)
    return Truth(weight, rows, norms, power)


def fifteen_steps(weight: Tensor, rows: int = 0) -> float:
    """σ̂ as torch's parametrized spectral norm starts: seed 0, 15 iterations."""
    holder = nn.Module().eval()
    holder.weight = nn.Parameter(weight.clone(), requires_grad=False)
    torch.manual_seed(0)
    parametrizations.spectral_norm(holder, "weight", dim=rows)
    norm = holder.parametrizations.weight[0]
    return _sigma(norm, weight)


def _put_on(module: nn.Module, name: str, spelling: str, family: str, dim: int | None) -> None:
    if family == "spectral":
        put = spectral_norm if spelling == "legacy" else parametrizations.spectral_norm
        put(module, name)
    else:
        put = weight_norm if spelling == "legacy" else parametrizations.weight_norm
        put(module, name, dim)


def _train(module: nn.Module, name: str) -> None:
    """Move the parameters as an optimizer would, then run the norms as training forwards do."""
    module.train()
    with torch.no_grad():
        for parameter in module.parameters():  # some g change their sign, which training may do
            parameter.mul_(1 + torch.rand_like(parameter) / 2)
            parameter.mul_(torch.where(torch.rand_like(parameter) < 0.1, -1, 1))
        for _ in range(SETTLING_STEPS):
            for hook in module._forward_pre_hooks.values():
                hook(module, ())
            getattr(module, name, None)


def _norms(module: nn.Module, name: str) -> tuple[Norm, ...]:
    """The norms on a module, read out of torch's own objects."""
    for hook in module._forward_pre_hooks.values():
        if hasattr(module, f"{name}_u"):
            u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
            original = getattr(module, f"{name}_orig")
            sigma = torch.dot(u, torch.mv(hook.reshape_weight_to_matrix(original), v))
            return (_spectral(hook.dim, original, sigma, u, v),)
        return (_weight(getattr(module, f"{name}_g"), getattr(module, f"{name}_v")),)
    if not hasattr(module, "parametrizations"):
        return ()
    chain = module.parametrizations[name]
    norms = []
    if hasattr(chain, "original0"):
        norms.append(_weight(chain.original0, chain.original1))
        weight = chain[0](chain.original0, chain.original1)
    else:
        weight = chain.original
    for norm in list(chain)[len(norms) :]:
        sigma = torch.vdot(norm._u, torch.mv(norm._reshape_weight_to_matrix(weight), norm._v))
        norms.append(_spectral(norm.dim, weight, sigma, norm._u, norm._v))
        weight = norm(weight)
    return tuple(norms)


def _spectral(dim: int, original: Tensor, sigma: Tensor, u: Tensor, v: Tensor) -> Norm:
    return Norm("spectral", (dim,), original.clone(), sigma.item(), u.clone(), v.clone())


def _weight(g: Tensor, v: Tensor) -> Norm:
    same = [
        dim
        for dim in range(v.ndim)
        if g.shape == tuple(size if axis == dim else 1 for axis, size in enumerate(v.shape))
    ]
    return Norm("weight", tuple(same) or (None,), g=g.clone())


def _taken_off(module: nn.Module, name: str) -> Tensor:
    """The weight that torch's own removal leaves."""
    if hasattr(module, f"{name}_u"):
        remove_spectral_norm(module, name)
    elif hasattr(module, f"{name}_g"):
        remove_weight_norm(module, name)
    elif hasattr(module, "parametrizations"):
        remove_parametrizations(module, name)
    return getattr(module, name).detach().clone()


def _one_more_step(case: Case, path: Path, weight: Tensor) -> float:
    """σ̂ after one training-mode access that starts at the stored u and v, on that weight."""
    loaded = build(case, salt="fresh")
    loaded.load_state_dict(torch.load(path, weights_only=True), strict=True)
    module, name = loaded[PREFIX].train(), KINDS[case.kind].weight
    if hasattr(module, "parametrizations"):
        norm = module.parametrizations[name][-1]
        norm(weight)
        return _sigma(norm, weight)
    getattr(module, f"{name}_orig").copy_(weight)
    (hook,) = module._forward_pre_hooks.values()
    hook(module, ())
    u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
    return torch.dot(u, torch.mv(hook.reshape_weight_to_matrix(weight), v)).item()


def _sigma(norm: nn.Module, weight: Tensor) -> float:
    matrix = norm._reshape_weight_to_matrix(weight)
    return torch.vdot(norm._u, torch.mv(matrix, norm._v)).real.item()
