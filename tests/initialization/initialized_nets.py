"""Networks under every weight norm of torch, their checkpoints, and what their layers give."""

from __future__ import annotations

import hashlib

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from normcli.commands.initialize_checkpoint import initialize_checkpoint

PUT_ON = {
    "plain": lambda module, _dim: module,
    "legacy": lambda module, dim: weight_norm(module, dim=dim),
    "parametrized": lambda module, dim: parametrizations.weight_norm(module, dim=dim),
}
MEAN, STD = 1e-5, 1e-4  # what float32 is held to


class Residual(nn.Module):
    """Skips around layers whose outputs are changed in place."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.first = nn.Conv2d(6, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, image):
        x = self.relu(self.stem(image))
        y = self.second(self.relu(self.first(x)))
        y += x
        return self.head(self.relu(y).mean(dim=(2, 3)))


def mlp():
    return nn.Sequential(
        nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 7), nn.ReLU(inplace=True), nn.Linear(7, 4)
    )


def convnet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, groups=2),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Flatten(),
        nn.Linear(8 * 9, 5),
    )


def decoder():
    return nn.Sequential(
        nn.ConvTranspose2d(5, 6, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1, groups=2),
        nn.Tanh(),
        nn.Conv2d(8, 3, 3),
    )


NETS = {
    "mlp": (mlp, (32, 6)),
    "convnet": (convnet, (24, 3, 8, 8)),
    "residual": (Residual, (24, 3, 8, 8)),
    "decoder": (decoder, (16, 5, 4, 4)),
}


def layers(net):
    """Path → module, of all that have a weight of two axes or more."""
    return {
        path: module
        for path, module in net.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.ndim > 1
    }


def under(net, form, dim=0):
    """The network with a norm on every layer, evaluating."""
    for module in layers(net).values():
        PUT_ON[form](module, dim)
    return net.eval()


def drawn(name, form, dim=0, seed=1):
    """A network with weights, gains and statistics unlike those of a fresh one."""
    torch.manual_seed(seed)
    build, shape = NETS[name]
    net = under(build(), form, dim)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1 + torch.rand_like(parameter)).add_(0.02)
        net.train()(torch.randn(shape))
    return net.eval()


def batch_of(name, seed=2):
    torch.manual_seed(seed)
    return torch.randn(NETS[name][1])


def saved(content, path):
    """As torch.save does, or the safetensors library for its suffix."""
    if path.suffix == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
    else:
        torch.save(content, path)
    return path


def read(path):
    """As torch or the safetensors library reads it."""
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path)


def initialized(folder, state, model, batch, *, suffix=".pt", output="out", **options):
    """(what was told, the content of the output)."""
    path = saved(state, folder / f"in{suffix}")
    file = folder / "batch.safetensors"
    save_file(batch if isinstance(batch, dict) else {"input": batch}, file)
    target = folder / f"{output}{suffix}"
    told = initialize_checkpoint(path, model=model, batch=file, output=target, **options)
    return told, read(target)


def unit_rows(module, output):
    """(units, entries) in float64."""
    axis = 1 if isinstance(module, nn.modules.conv._ConvNd) else output.ndim - 1
    return output.detach().clone().double().movedim(axis, 0).reshape(output.shape[axis], -1)


def outputs(net, batch):
    """(path → the output of each layer as `unit_rows`, output of the network)."""
    found, handles = {}, []
    for path, module in layers(net).items():

        def hook(module, _arguments, output, path=path):
            found[path] = unit_rows(module, output)

        handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        result = net(**batch) if isinstance(batch, dict) else net(batch)
    for handle in handles:
        handle.remove()
    return found, result


def off(rows):
    """(largest |mean|, largest |std − 1|) of the units."""
    mean, std = rows.mean(1), rows.std(1, unbiased=False)
    return mean.abs().max().item(), (std - 1).abs().max().item()


def assert_standard(net, batch, paths=None):
    """Mean 0 and deviation 1 of every unit of every layer; gives the output of the network."""
    found, result = outputs(net, batch)
    for path in found if paths is None else paths:
        mean, std = off(found[path])
        assert mean <= MEAN, (path, mean)
        assert std <= STD, (path, std)
    return result


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left(told):
    return {each.name: each.reason for each in told.left}


def are_equal(before, after, *paths):
    """Whether all tensors of these modules are as they were, bit for bit."""
    keys = [key for key in before if key.startswith(tuple(f"{path}." for path in paths))]
    assert keys
    return all(torch.equal(after[key], before[key]) for key in keys)
