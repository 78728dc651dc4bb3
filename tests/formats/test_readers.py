"""Every reader against the conformance suite."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from reader_tests import DTYPES, TYPED, ReaderTests
from safetensors.torch import load_file, save_file

from normcli.formats import READERS


class TestSafetensors(ReaderTests):
    format = "safetensors"
    dtypes = tuple(dtype for dtype in DTYPES if dtype != torch.complex128)
    keeps_strides = False

    def write(self, folder, tensors):
        path = folder / "model.safetensors"
        save_file(tensors, path)
        return path

    def oracle(self, path):
        return load_file(path)

    def oracle_order(self, path):
        return sorted(load_file(path))


class TestTorchZip(ReaderTests):
    format = "torch-zip"
    dtypes = (*DTYPES, torch.complex32)

    def write(self, folder, tensors):
        path = folder / "model.pt"
        torch.save(tensors, path)
        return path

    def oracle(self, path):
        return torch.load(path, weights_only=True)


class TestTorchLegacy(TestTorchZip):
    format = "torch-legacy"
    dtypes = (*TYPED, torch.complex128)  # torch cannot load its own legacy files of the others

    def write(self, folder, tensors):
        path = folder / "model.pth"
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
        return path


class TestTorchScript(ReaderTests):
    format = "torchscript"
    dtypes = TYPED

    def write(self, folder, tensors):
        root = torch.nn.Module()
        for name, tensor in tensors.items():
            root.register_buffer(name.replace(".", "_"), tensor)
        path = folder / "model.jit"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.script(root), path)
        return path

    def oracle(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return dict(torch.jit.load(path).state_dict())


class Sharded(ReaderTests):
    keeps_strides = False
    stem = "model"
    suffix = "safetensors"

    def save(self, tensors, path):
        save_file(tensors, path)

    def load(self, path):
        return load_file(path)

    def write(self, folder, tensors):
        names = list(tensors)
        shards = [names[::2], names[1::2]] if len(names) > 1 else [names]
        weight_map = {}
        for index, each in enumerate(shards, 1):
            shard = f"{self.stem}-{index:05d}-of-{len(shards):05d}.{self.suffix}"
            self.save({name: tensors[name] for name in each}, folder / shard)
            weight_map.update(dict.fromkeys(each, shard))
        weight_map = {name: weight_map[name] for name in names}
        index = folder / f"{self.stem}.{self.suffix}.index.json"
        index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        return index

    def oracle(self, path):
        weight_map = json.loads(path.read_text())["weight_map"]
        shards = {name: self.load(path.parent / name) for name in set(weight_map.values())}
        return {name: shards[shard][name] for name, shard in weight_map.items()}


class TestShardedSafetensors(Sharded):
    format = "sharded-safetensors"
    dtypes = TestSafetensors.dtypes


class TestShardedTorch(Sharded):
    format = "sharded-torch"
    stem = "pytorch_model"
    suffix = "bin"
    keeps_strides = True

    def save(self, tensors, path):
        torch.save(tensors, path)

    def load(self, path):
        return torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_has_a_conformance_suite(name):
    suites = [each for each in globals().values() if isinstance(each, type)]
    assert name in [getattr(suite, "format", None) for suite in suites]
