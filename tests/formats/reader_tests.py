"""What every reader has to do: subclass `ReaderTests`, with files written by another library."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from normcli.errors import ChangedError, CheckpointError, UsageError
from normcli.formats import open_checkpoint

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu,
    torch.complex64, torch.complex128, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
)  # fmt: skip

# What torch has a typed storage of: all that its legacy and TorchScript files can hold.
TYPED = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def random_bytes(shape, dtype, seed=0):
    """A tensor of any dtype whose bits are random, NaN and Inf among them; 0 and 1 for bool."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    numel = torch.Size(shape).numel()
    raw = torch.randint(0, 256, (numel * dtype.itemsize,), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def raw_bytes(tensor):
    # A contiguous tensor of one entry may have any strides: only a copy has those of its bytes.
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.detach().reshape(-1))
    return flat.view(torch.uint8).numpy().tobytes()


def assert_bit_equal(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.stride() == expected.stride()
    assert raw_bytes(actual) == raw_bytes(expected)


class ReaderTests:
    """The conformance suite.

    A subclass says how its files are written (`write`), what another library reads from them
    (`oracle`), the `format`, and which dtypes the format has.
    """

    format: str
    dtypes = DTYPES
    keeps_strides = True

    def write(self, folder, tensors):
        raise NotImplementedError

    def oracle(self, path):
        raise NotImplementedError

    def oracle_order(self, path):
        return list(self.oracle(path))

    def assert_reads(self, folder, tensors):
        path = self.write(folder, tensors)
        with open_checkpoint(path) as checkpoint:
            expected = self.oracle(path)
            assert checkpoint.format == self.format
            assert set(checkpoint.tensors) >= set(expected)
            for name, tensor in expected.items():
                ref = checkpoint.tensors[name]
                assert ref.name == name
                assert (ref.shape, ref.dtype) == (tuple(tensor.shape), str(tensor.dtype)[6:])
                assert ref.nbytes == tensor.numel() * tensor.element_size()
                assert_bit_equal(checkpoint.read(name), tensor)

    @pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
    def test_every_dtype_is_bit_equal(self, tmp_path):
        self.assert_reads(
            tmp_path, {f"t.{dtype}": random_bytes((3, 5), dtype) for dtype in self.dtypes}
        )

    def test_scalars_and_tensors_without_elements_keep_their_shape(self, tmp_path):
        tensors = {
            "scalar": torch.tensor(2.5),
            "none": torch.zeros(0, 5),
            "late": torch.zeros(5, 0),
        }
        self.assert_reads(tmp_path, tensors)

    def test_strides_are_those_of_the_file(self, tmp_path):
        if not self.keeps_strides:
            pytest.skip("the format stores contiguous tensors only")
        image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
        whole = torch.randn(6, 7)
        tensors = {"t": torch.randn(4, 6).t(), "last": image, "part": whole[1:3, 2:5]}
        self.assert_reads(tmp_path, tensors)

    def test_a_tensor_of_many_megabytes_is_bit_equal(self, tmp_path):
        self.assert_reads(tmp_path, {"large": torch.randn(1_500_001), "small": torch.randn(3)})

    def test_memory_is_aligned_to_64_bytes(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.randn(3), "b": torch.randn(2_000_000)})
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint.tensors:
                assert checkpoint.read(name).data_ptr() % 64 == 0

    def test_reading_into_a_buffer_gives_the_same(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.randn(3, 4), "b": torch.randn(7)})
        out = torch.empty(1000, dtype=torch.uint8)
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint.tensors:
                tensor = checkpoint.read(name, out=out)
                assert tensor.data_ptr() == out.data_ptr()
                assert_bit_equal(tensor, checkpoint.read(name))

    def test_a_buffer_that_is_too_small_is_left_alone(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.randn(300)})
        out = torch.zeros(100, dtype=torch.uint8)
        with open_checkpoint(path) as checkpoint:
            assert_bit_equal(checkpoint.read("a", out=out), checkpoint.read("a"))
        assert not out.any()

    def test_pieces_are_all_entries_in_the_order_of_the_file(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.randn(300_000), "b": torch.randn(3, 4)})
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint.tensors:
                pieces = [piece.clone() for piece in checkpoint.pieces(name)]
                assert torch.equal(torch.cat(pieces), checkpoint.read(name).flatten())

    def test_threads_read_at_once(self, tmp_path):
        tensors = {f"t{index}": torch.randn(64, index + 1) for index in range(24)}
        path = self.write(tmp_path, tensors)
        with open_checkpoint(path) as checkpoint, ThreadPoolExecutor(8) as pool:
            names = list(checkpoint.tensors) * 8
            for name, tensor in zip(names, pool.map(checkpoint.read, names), strict=True):
                assert_bit_equal(tensor, tensors[name])

    def test_the_order_is_that_of_the_file(self, tmp_path):
        path = self.write(tmp_path, {"b": torch.zeros(1), "c": torch.zeros(2), "a": torch.zeros(3)})
        with open_checkpoint(path) as checkpoint:
            assert list(checkpoint.tensors) == self.oracle_order(path)

    def test_the_header_needs_neither_torch_nor_numpy(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.zeros(3)})
        code = f"""
            import sys
            from normcli.formats import open_checkpoint
            with open_checkpoint({str(path)!r}) as checkpoint:
                assert list(checkpoint.tensors), checkpoint
            sys.exit(bool({{"torch", "numpy"}} & set(sys.modules)))
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)

    def test_digest_is_sha256_of_every_file(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.zeros(3), "b": torch.ones(4)})
        with open_checkpoint(path) as checkpoint:
            folder = path if path.is_dir() else path.parent
            for file in map(checkpoint.digest, checkpoint.files):
                content = (folder / file.name).read_bytes()
                assert file.nbytes == len(content)
                assert file.sha256 == hashlib.sha256(content).hexdigest()

    def test_a_file_that_is_written_to_is_noticed(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.zeros(3)})
        with open_checkpoint(path) as checkpoint:
            checkpoint.check_unchanged()
            folder = path if path.is_dir() else path.parent
            with (folder / checkpoint.files[0].name).open("ab") as file:
                file.write(b"more")
            with pytest.raises(ChangedError, match="changed while it was read"):
                checkpoint.check_unchanged()

    def test_a_file_that_shrinks_is_an_error(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.zeros(3000)})
        with open_checkpoint(path) as checkpoint:
            folder = path if path.is_dir() else path.parent
            os.truncate(folder / checkpoint.files[0].name, 200)
            with pytest.raises(CheckpointError, match="ends at or before byte"):
                checkpoint.read("a")

    def test_truncated_anywhere_it_is_refused(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.randn(30), "b": torch.randn(3, 4)})
        with open_checkpoint(path) as checkpoint:
            folder = path if path.is_dir() else path.parent
            file = folder / checkpoint.files[0].name
        content = file.read_bytes()
        for twentieth in range(20):
            file.write_bytes(content[: len(content) * twentieth // 20])
            with pytest.raises(CheckpointError):
                open_checkpoint(path)

    def test_an_unknown_name_is_the_users_fault(self, tmp_path):
        path = self.write(tmp_path, {"a": torch.zeros(3)})
        with open_checkpoint(path) as checkpoint, pytest.raises(UsageError, match="no tensor 'x'"):
            checkpoint.read("x")
