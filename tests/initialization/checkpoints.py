"""Models under every norm of torch, their checkpoints, and the one call that fills a model."""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from normcli.formats import open_checkpoint
from normcli.initialization.loading import load

LAYOUTS = {
    "plain": lambda module: module,
    "weight legacy": weight_norm,
    "weight parametrized": parametrizations.weight_norm,
    "spectral legacy": spectral_norm,
    "spectral parametrized": parametrizations.spectral_norm,
}
INPUT = (2, 3, 6, 6)


def model(layout, seed, *, steps=10):
    """Three kinds of layers, trained as far as u, v and running statistics go, evaluating."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.ConvTranspose2d(5, 4, 3),
        nn.Flatten(),
        nn.Linear(4 * 36, 7),
    )
    for index in (0, 2, 4):
        LAYOUTS[layout](net[index])
    with torch.no_grad():
        for _ in range(steps):
            net.train()(torch.randn(INPUT))
        for parameter in net.parameters():
            parameter.mul_(1 + torch.rand_like(parameter) / 2)
    return net.eval()


def saved(state, path):
    """As torch.save does, or the safetensors library for its suffix."""
    if path.suffix == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def filled(net, path, *, section=None, prefix="", dims=None):
    """What `load` tells of the file."""
    with open_checkpoint(path) as checkpoint:
        return load(net, checkpoint, section=section, prefix=prefix, dims=dims or {})


def output(net, shape=INPUT):
    """What the model computes from always the same input, evaluating."""
    torch.manual_seed(5)
    with torch.no_grad():
        return net.eval()(torch.randn(shape))


def assert_same_output(found, expected, room=1e-6):
    """Equal but for a share of the largest entry."""
    torch.testing.assert_close(found, expected, rtol=0, atol=room * expected.abs().max().item())
