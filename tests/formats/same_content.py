"""Whether two things that torch loaded are the same: types, values, order, and what is shared."""

from __future__ import annotations

import struct

import torch
from reader_tests import raw_bytes


def assert_same(actual, expected):
    """Equal to the bit, with the same objects and the same bytes shared on both sides."""
    _Comparison().compare(actual, expected, "root")


class _Comparison:
    def __init__(self):
        self._pairs = {}
        self._storages = {}
        self._alive = []

    def compare(self, actual, expected, path):
        assert type(actual) is type(expected), path
        if isinstance(expected, torch.Tensor):
            self._tensor(actual, expected, path)
        elif isinstance(expected, dict | list):
            self._alive += [actual, expected]
            met = id(expected) in self._pairs
            assert self._pairs.setdefault(id(expected), id(actual)) == id(actual), path
            if not met:
                self._container(actual, expected, path)
        elif isinstance(expected, tuple):
            self._container(actual, expected, path)
        elif isinstance(expected, float):
            assert struct.pack(">d", actual) == struct.pack(">d", expected), path
        else:
            assert actual == expected, path

    def _container(self, actual, expected, path):
        assert len(actual) == len(expected), path
        if isinstance(expected, dict):
            keys = [(type(key), key) for key in expected]
            assert [(type(key), key) for key in actual] == keys, path
            actual_items, expected_items = actual.items(), expected.items()
            self.compare(
                getattr(actual, "__dict__", None), getattr(expected, "__dict__", None), path
            )
        else:
            actual_items, expected_items = enumerate(actual), enumerate(expected)
        for (key, one), (_, other) in zip(actual_items, expected_items, strict=True):
            self.compare(one, other, f"{path}/{key}")

    def _tensor(self, actual, expected, path):
        self._alive += [actual, expected]
        for what in ("dtype", "shape", "layout", "requires_grad"):
            assert getattr(actual, what) == getattr(expected, what), (path, what)
        assert actual.is_conj() == expected.is_conj(), path
        self.compare(vars(actual), vars(expected), path)
        if expected.layout != torch.strided or expected.is_quantized or expected.is_meta:
            assert str(actual) == str(expected), path
            return
        assert actual.stride() == expected.stride(), path
        assert actual.storage_offset() == expected.storage_offset(), path
        assert raw_bytes(actual.resolve_conj()) == raw_bytes(expected.resolve_conj()), path
        if expected.numel():
            pointers = [each.untyped_storage().data_ptr() for each in (expected, actual)]
            assert self._storages.setdefault(pointers[0], pointers[1]) == pointers[1], path
