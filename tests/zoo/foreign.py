"""Norms of other libraries and of other versions of torch, written anew from their public code.

Each class keeps the names, shapes and arithmetic of its model; `effective()` is the weight that
its forward pass would compute with in the mode that it is in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class WeightBar(nn.Module):
    """Wrapper of christiancosgrove/pytorch-spectral-normalization-gan.

    Parameters `module.weight_bar`, `module.weight_u`, `module.weight_v`; rows are axis 0 whatever
    the layer; every forward pass takes a power step and keeps it, in eval mode too.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        weight = module.weight.data
        del module.weight
        rows = weight.shape[0]
        for name, size in (("weight_u", rows), ("weight_v", weight.numel() // rows)):
            start = self._unit(torch.randn(size, dtype=weight.dtype))
            module.register_parameter(name, nn.Parameter(start, requires_grad=False))
        module.register_parameter("weight_bar", nn.Parameter(weight))

    @staticmethod
    def _unit(vector: Tensor) -> Tensor:
        return vector / (vector.norm() + 1e-12)

    def effective(self) -> Tensor:
        inner = self.module
        bar = inner.weight_bar.detach()
        matrix = bar.reshape(bar.shape[0], -1)
        inner.weight_v.data = self._unit(torch.mv(matrix.t(), inner.weight_u.data))
        inner.weight_u.data = self._unit(torch.mv(matrix, inner.weight_v.data))
        return bar / inner.weight_u.data.dot(matrix.mv(inner.weight_v.data))


class BigGAN(nn.Module):
    """`layers.SN` of ajbrock/BigGAN-PyTorch on a weight of that shape.

    Buffers `u0` (1, rows) and `sv0` (1,) beside a raw `weight`, and u1, sv1, … for further
    singular values, each kept orthogonal to those before it; only the first one is divided by.
    One power step a forward pass, kept in training mode only.
    """

    def __init__(self, *shape: int, values: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape), requires_grad=False)
        self.values = values
        for index in range(values):
            self.register_buffer(f"u{index}", torch.randn(1, shape[0]))
            self.register_buffer(f"sv{index}", torch.ones(1))

    @staticmethod
    def _unit_apart(row: Tensor, others: list[Tensor]) -> Tensor:
        for other in others:
            row = row - (other @ row.t()) * other / (other @ other.t())
        return normalize(row, eps=1e-12)

    def effective(self) -> Tensor:
        matrix = self.weight.flatten(1)
        rights, lefts, sigmas = [], [], []
        for index in range(self.values):
            buffer = getattr(self, f"u{index}")
            right = self._unit_apart(buffer @ matrix, rights)
            left = self._unit_apart(right @ matrix.t(), lefts)
            rights.append(right)
            lefts.append(left)
            sigmas.append((right @ matrix.t() @ left.t()).squeeze())
            if self.training:
                buffer.copy_(left)
                getattr(self, f"sv{index}").fill_(sigmas[-1])
        return self.weight / sigmas[0]


class Mimicry(nn.Module):
    """`SpectralNorm` of kwotsin/mimicry: `sn_u` (1, rows) and `sn_sigma` (1,) beside `weight`."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape), requires_grad=False)
        self.register_buffer("sn_u", torch.randn(1, shape[0]))
        self.register_buffer("sn_sigma", torch.ones(1))

    def effective(self) -> Tensor:
        matrix = self.weight.flatten(1)
        right = normalize(self.sn_u @ matrix, eps=1e-12)
        left = normalize(right @ matrix.t(), eps=1e-12)
        sigma = left @ (matrix @ right.t())
        if self.training:
            self.sn_sigma.fill_(sigma.item())
            self.sn_u.copy_(left)
        return self.weight / sigma


class Version0(nn.Module):
    """`torch.nn.utils.spectral_norm` of torch 0.4.1 (state version 0).

    `weight_orig`, `weight_u` and the quotient itself as the buffer `weight`; no v is kept. Eval
    mode computes with the stored quotient.
    """

    def __init__(self, *shape: int, dim: int = 0) -> None:
        super().__init__()
        weight = torch.randn(shape)
        self.dim = dim
        self.weight_orig = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("weight", weight.clone())
        self.register_buffer("weight_u", normalize(torch.randn(shape[dim]), dim=0))

    def effective(self) -> Tensor:
        if self.training:
            matrix = self.weight_orig.movedim(self.dim, 0).flatten(1)
            right = normalize(matrix.t() @ self.weight_u, dim=0, eps=1e-12)
            self.weight_u = normalize(matrix @ right, dim=0, eps=1e-12)
            self.weight = self.weight_orig / torch.dot(self.weight_u, matrix @ right)
        return self.weight


class TimeMix(nn.Module):
    """The names of RWKV's attention: true parameters that end as weight norm's g and v do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for letter in "gkrv":
            self.register_parameter(f"time_mix_{letter}", nn.Parameter(torch.rand(1, 1, channels)))
        self.key = nn.Linear(channels, channels, bias=False)
