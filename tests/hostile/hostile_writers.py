"""The commands that write, the checkpoints they are tried on, and what a whole output holds."""

from dataclasses import dataclass

import torch
from safetensors.torch import load_file


@dataclass(frozen=True)
class Writer:
    """A command that writes, and the suffix of what it writes."""

    arguments: tuple
    suffix: str

    def command(self, path, output, *options):
        return [*self.arguments, path, "-o", output, *options]

    def assert_whole(self, output, given):
        """The output has the effective weights that torch finds in the input."""
        tensors = torch.load(given)
        if self.arguments[0] == "convert":
            found = load_file(output)
        else:
            found = effective(torch.load(output))
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            torch.testing.assert_close(found[name], tensor)


WRITERS = {
    "apply": Writer(("apply", "--weight"), ".pt"),
    "convert": Writer(("convert",), ".safetensors"),
}


def effective(tensors):
    """What torch computes with where a weight norm is parametrized."""
    part = ".parametrizations.weight.original"
    stems = [name.removesuffix(f"{part}0") for name in tensors if name.endswith(f"{part}0")]
    return {
        f"{stem}.weight": torch._weight_norm(tensors[f"{stem}{part}1"], tensors[f"{stem}{part}0"])
        for stem in stems
    }


def saved(path, *, count, size, stem="größe.重み"):
    generator = torch.Generator().manual_seed(20260103)
    draws = [torch.randn(size, size, generator=generator) for _ in range(count)]
    path.parent.mkdir()
    torch.save({f"{stem}.{n}.weight": draw for n, draw in enumerate(draws)}, path)
    return path
