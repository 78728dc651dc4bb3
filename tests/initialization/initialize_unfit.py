"""Modules whose weights are left, each with the reason that is told."""

from __future__ import annotations

import torch
from initialize_models import WRAPS
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization


class Before(nn.Module):
    """A module that is under test, and a linear layer behind it that can always be initialized."""

    def __init__(self, module, width):
        super().__init__()
        self.module = module
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        flow = self.module(x)
        while not isinstance(flow, torch.Tensor):
            flow = flow[0]
        return self.last(flow)


class Relu(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


class Sparse(nn.Linear):
    def forward(self, x):
        return (super().forward(x) - 1.5).relu()


class Shortcut(nn.Linear):
    def forward(self, x):
        return super().forward(x) + x


class Standardized(nn.Conv1d):
    def forward(self, x):
        weight = self.weight / self.weight.std(dim=(1, 2), keepdim=True)
        return nn.functional.conv1d(x, weight, self.bias)


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.randn(self.out_features)


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.inner(self.inner(x).relu())


class TwoNames(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = self.other = nn.Linear(6, 6)

    def forward(self, x):
        return self.one(x)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.ReLU(), nn.Linear(6, 6)

    def forward(self, x):
        return self.used(x)


class Direct(nn.Module):
    """Calls no layer, only its weight."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return nn.functional.linear(x, self.inner.weight, self.inner.bias)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x)


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 6)

    def forward(self, x):
        return self.words(x.abs().long() % 9).mean(dim=-2)


class OwnMatrix(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(6))
        self.bias = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        return x @ self.matrix + self.bias


class WideBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 6))
        self.bias = nn.Parameter(torch.zeros(1, 6))

    def forward(self, x):
        return x @ self.weight + self.bias


class Double(nn.Module):
    def forward(self, weight):
        return 2 * weight

    def right_inverse(self, weight):
        return weight / 2


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6, dtype=torch.complex64)

    def forward(self, x):
        return self.inner(x.to(torch.complex64)).real


def tied(how):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    if how == "weight":
        model[2].weight = model[0].weight
    elif how == "bias":
        model[2].bias = model[0].bias
    else:
        model[2].weight.data = model[0].weight.data
    return model


def tied_under_norm(how):
    model = nn.Sequential(WRAPS[how](nn.Linear(6, 6)), nn.ReLU(), WRAPS[how](nn.Linear(6, 6)))
    if how == "legacy":
        model[2].weight_v = model[0].weight_v
    else:
        first, last = (model[i].parametrizations.weight for i in (0, 2))
        last.original1 = first.original1
    return model


def pruned():
    module = nn.Linear(6, 6)
    prune.l1_unstructured(module, "weight", amount=0.3)
    return module


def stacked():
    return parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(6, 6)))


def dead():
    module = nn.Linear(6, 6)
    with torch.no_grad():
        module.weight[2] = 0
    return module


def dead_under_norm(how):
    module = WRAPS[how](nn.Linear(6, 6))
    g = module.weight_g if how == "legacy" else module.parametrizations.weight.original0
    with torch.no_grad():
        g[2] = 0
    return module


def not_finite(value):
    module = nn.Linear(6, 6)
    with torch.no_grad():
        module.weight[2, 1] = value
    return module


def parametrized():
    module = nn.Linear(6, 6)
    register_parametrization(module, "weight", Double())
    return module


# name → (module, its weights, why the first of them is left)
LEFT = {
    "no bias": (lambda: nn.Linear(6, 6, bias=False), ("weight",), "its layer has no bias"),
    "a layer used twice": (Twice, ("inner.weight",), "its layer is used 2 times"),
    "a layer that never runs": (Unused, ("spare.weight",), "its layer never ran"),
    "a weight used directly": (Direct, ("inner.weight",), "its layer never ran"),
    "one module of two names": (TwoNames, ("one.weight", "other.weight"), "shared: it is"),
    "tied weights": (lambda: tied("weight"), ("0.weight", "2.weight"), "shared: it is"),
    "tied biases": (lambda: tied("bias"), ("0.weight", "2.weight"), "shared: it is"),
    "weights in one memory": (lambda: tied("memory"), ("0.weight", "2.weight"), "shared: it is"),
    "tied v, legacy": (lambda: tied_under_norm("legacy"), ("0.weight", "2.weight"), "shared: it"),
    "tied v": (lambda: tied_under_norm("parametrized"), ("0.weight", "2.weight"), "shared: it is"),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(6, 6)), ("weight",),
                      "under spectral, not under weight norm alone"),
    "hooked spectral norm": (lambda: spectral_norm(nn.Linear(6, 6)), ("weight",),
                             "under spectral, not under weight norm alone"),
    "spectral norm on weight norm": (stacked, ("weight",), "under weight+spectral, not under"),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(6, 6)), ("weight",), "not under"),
    "a parametrization of the user": (parametrized, ("weight",), "not under weight norm alone"),
    "pruned": (pruned, ("weight",), "not under weight norm alone"),
    "bias under weight norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 6), "bias"),
                               ("weight",), "the bias of its layer is under a norm"),
    "bias under hooked weight norm": (lambda: weight_norm(nn.Linear(6, 6), "bias"), ("weight",),
                                      "the bias of its layer is under a norm"),
    "lstm": (lambda: nn.LSTM(6, 6), ("weight_ih_l0", "weight_hh_l0"), "of LSTM"),
    "attention": (Attention, ("inner.in_proj_weight", "inner.out_proj.weight"),
                  "but 'in_proj_weight' of MultiheadAttention"),
    "embedding": (Embedded, ("words.weight",), "its layer has no bias"),
    "layer norm of two axes": (lambda: nn.LayerNorm((30, 6)), ("weight", "bias"), "is no vector"),
    "a matrix of another name": (OwnMatrix, ("matrix",), "but 'matrix' of OwnMatrix"),
    "a bias of two axes": (WideBias, ("weight", "bias"), "the bias of its layer is no vector"),
    "complex": (Complex, ("inner.weight",), "standard deviations are of real outputs"),
    "a tuple as output": (lambda: Pair(6, 6), ("weight",), "its output is no floating tensor"),
    "relu inside": (lambda: Relu(6, 6), ("weight",), "its output is not W·x + b"),
    "rare relu inside": (lambda: Sparse(6, 6), ("weight",), "its output is not W·x + b"),
    "a shortcut inside": (lambda: Shortcut(6, 6), ("weight",), "its output is not W·x + b"),
    "noise inside": (lambda: Noisy(6, 6), ("weight",), "its output is not W·x + b"),
    "a unit that is constant": (dead, ("weight",), "1 of 6 units do not vary over the batch"),
    "a unit of g 0, legacy": (lambda: dead_under_norm("legacy"), ("weight",), "1 of 6 units do"),
    "a unit of g 0": (lambda: dead_under_norm("parametrized"), ("weight",), "1 of 6 units do"),
    "NaN in the weight": (lambda: not_finite(torch.nan), ("weight",), "NaN or infinite entries"),
    "infinity in the weight": (lambda: not_finite(torch.inf), ("weight",), "NaN or infinite"),
}  # fmt: skip
