"""Trains two small SN-GANs and a classifier on scikit-learn's 8x8 digits and writes them here.

Run `python sample_checkpoints/make.py [FOLDER]`: about two minutes on one core. The seed and one
thread are fixed, so a second run on the same machine and torch gives the same bytes; on another
machine it gives the same keys and shapes, and numbers that differ by rounding. README.md says what
each file is for.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 20180216  # the day on which "Spectral Normalization for GANs" was posted
STEPS = 4000  # generator steps; samples stop improving visibly at about 3000
BATCH = 64
NOISE = 16  # entries of z
EMA = 0.999  # decay of the shadow copy, the usual one
TRAIN_IMAGES = 1400  # of 1797; the others are held out for the classifier

StateDict = dict[str, Tensor]


class LegacyGenerator(nn.Module):
    """z → 8x8 image: a plain layer, two with legacy weight norm (dim 0 and dim 1), a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(NOISE, 16 * 4 * 4)
        self.up = weight_norm(nn.ConvTranspose2d(16, 24, 4, stride=2, padding=1), dim=1)
        self.conv = weight_norm(nn.Conv2d(24, 16, 3, padding=1))
        self.out = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Shape (batch, NOISE) → (batch, 1, 8, 8) in [-1, 1]."""
        image = functional.relu(self.fc(z)).unflatten(1, (16, 4, 4))
        image = functional.relu(self.conv(functional.relu(self.up(image))))
        return torch.tanh(self.out(image))


class LegacyDiscriminator(nn.Module):
    """Image → score, every layer with legacy spectral norm (Miyato et al., arXiv:1802.05957)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(1, 16, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(16, 24, 4, stride=2, padding=1))
        self.fc = spectral_norm(nn.Linear(24 * 4 * 4, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Shape (batch, 1, 8, 8) → (batch, 1)."""
        image = functional.leaky_relu(self.conv1(image), 0.1)
        image = functional.leaky_relu(self.conv2(image), 0.1)
        return self.fc(image.flatten(1))


class ParametrizedGenerator(nn.Module):
    """z → image, spectral norm by parametrization, as SA-GAN has it in its generator too.

    The square `mix` leaves the row axis open by shape; the transposed `up` has axis 1 as rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix = parametrizations.spectral_norm(nn.Linear(NOISE, NOISE))
        self.fc = nn.Linear(NOISE, 16 * 4 * 4)
        self.up = parametrizations.spectral_norm(nn.ConvTranspose2d(16, 24, 4, stride=2, padding=1))
        self.norm = nn.BatchNorm2d(24)
        self.out = parametrizations.weight_norm(nn.Conv2d(24, 1, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        """Shape (batch, NOISE) → (batch, 1, 8, 8) in [-1, 1]."""
        image = functional.relu(self.fc(functional.relu(self.mix(z)))).unflatten(1, (16, 4, 4))
        return torch.tanh(self.out(functional.relu(self.norm(self.up(image)))))


class ParametrizedDiscriminator(nn.Module):
    """Image → score: rows as a sequence (weight norm over taps, as wav2vec 2.0), and as image."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = parametrizations.weight_norm(nn.Conv1d(8, 12, 3, padding=1), dim=2)
        self.conv1 = parametrizations.spectral_norm(nn.Conv2d(1, 16, 3, padding=1))
        self.conv2 = parametrizations.spectral_norm(nn.Conv2d(16, 24, 4, stride=2, padding=1))
        self.fc = parametrizations.spectral_norm(nn.Linear(12 * 8 + 24 * 4 * 4, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Shape (batch, 1, 8, 8) → (batch, 1)."""
        rows = functional.leaky_relu(self.rows(image.squeeze(1).transpose(1, 2)), 0.1)
        image = functional.leaky_relu(self.conv1(image), 0.1)
        image = functional.leaky_relu(self.conv2(image), 0.1)
        return self.fc(torch.cat([rows.flatten(1), image.flatten(1)], dim=1))


def classifier() -> nn.Sequential:
    """A small convolutional network, image → ten scores."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train_gan(
    generator: nn.Module, discriminator: nn.Module, images: Tensor
) -> tuple[list[torch.optim.Optimizer], StateDict]:
    """Train by the hinge loss, one discriminator step a generator step.

    Returns:
        The two optimizers, and a moving average over the discriminator's whole state dict: with
        the buffers u and v in it, which is the mistake that `sngan-defect.pt` shows.
    """
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.0, 0.9))
        for part in (generator, discriminator)
    ]
    shadow = {key: value.clone() for key, value in discriminator.state_dict().items()}
    for _ in range(STEPS):
        real = images[torch.randint(len(images), (BATCH,))]
        fake = generator(torch.randn(BATCH, NOISE))
        loss = functional.relu(1 - discriminator(real)) + functional.relu(
            1 + discriminator(fake.detach())
        )
        _step(optimizers[1], loss.mean())
        _step(optimizers[0], -discriminator(fake).mean())
        for key, value in discriminator.state_dict().items():
            shadow[key].lerp_(value, 1 - EMA)
    return optimizers, shadow


def train_classifier(images: Tensor, labels: Tensor) -> nn.Sequential:
    """Train on the first images by cross entropy, and round to bfloat16."""
    model = classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(1000):
        chosen = torch.randint(TRAIN_IMAGES, (BATCH,))
        _step(optimizer, functional.cross_entropy(model(images[chosen]), labels[chosen]))
    return model.to(torch.bfloat16)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose highest score is the right one."""
    with torch.no_grad():
        return (model(images.bfloat16()).argmax(1) == labels).double().mean().item()


def frechet(first: Tensor, second: Tensor) -> float:
    """d² = ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2(C₁C₂)^½) of the pixels, in float64 (arXiv:1706.08500)."""
    first, second = first.flatten(1).double(), second.flatten(1).double()
    covariances = torch.cov(first.T), torch.cov(second.T)
    cross = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp_min(0).sqrt().sum()
    trace = covariances[0].trace() + covariances[1].trace() - 2 * cross
    return float((first.mean(0) - second.mean(0)).square().sum() + trace)


def with_defects(checkpoint: Mapping[str, StateDict], shadow: StateDict) -> dict[str, StateDict]:
    """The same model with averaged u and v, one NaN and one row of zeros."""
    generator = {key: value.clone() for key, value in checkpoint["G"].items()}
    generator["fc.weight"][7] = 0.0
    generator["out.weight"][0, 3, 1, 2] = float("nan")
    return {"G": generator, "D": shadow}


def save_sharded(folder: Path, tensors: StateDict) -> None:
    """Two shards and the index that transformers writes: `weight_map` and `total_size`."""
    folder.mkdir(exist_ok=True)
    keys = sorted(tensors)
    halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    weight_map = {}
    for number, half in enumerate(halves, start=1):
        name = f"model-{number:05d}-of-{len(halves):05d}.safetensors"
        shard = {key: tensors[key].contiguous() for key in half}
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(half, name)
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _sample(generator: nn.Module, count: int) -> Tensor:
    with torch.no_grad():
        return generator.eval()(torch.randn(count, NOISE))


def make(folder: Path) -> None:
    """Train everything, write every file, and print the figures that README.md quotes."""
    from sklearn.datasets import load_digits  # who only wants the modules need not have it

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 8 - 1
    labels = torch.from_numpy(digits.target)
    judge = train_classifier(images, labels)
    held_out = accuracy(judge, images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])
    print(f"classifier: {held_out:.1%} of {len(images) - TRAIN_IMAGES} held-out images right")
    save_file(judge.state_dict(), folder / "classifier-bf16.safetensors", {"format": "pt"})

    generator, discriminator = LegacyGenerator(), LegacyDiscriminator()
    optimizers, shadow = train_gan(generator, discriminator, images)
    checkpoint = {"G": generator.state_dict(), "D": discriminator.state_dict()}
    states = {f"optim_{part}": o.state_dict() for part, o in zip("GD", optimizers, strict=True)}
    torch.save({**checkpoint, **states, "epoch": STEPS * BATCH // len(images)}, folder / "sngan.pt")
    torch.save(with_defects(checkpoint, shadow), folder / "sngan-defect.pt")
    flat = {f"{part}.{key}": v for part, state in checkpoint.items() for key, v in state.items()}
    save_sharded(folder / "sngan-sharded", flat)

    both = nn.ModuleDict({"G": ParametrizedGenerator(), "D": ParametrizedDiscriminator()})
    train_gan(both["G"], both["D"], images)
    torch.save(both.state_dict(), folder / "sngan-parametrized.pt")

    noise = _sample(LegacyGenerator(), len(images))
    halves = frechet(images[::2], images[1::2])
    print(f"Frechet distance to the digits: untrained {frechet(noise, images):.1f}", end="")
    print(f", legacy {frechet(_sample(generator, len(images)), images):.1f}", end="")
    print(f", parametrized {frechet(_sample(both['G'], len(images)), images):.1f}", end="")
    print(f", one half of the digits to the other {halves:.1f}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)  # the hook API is the subject here
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
