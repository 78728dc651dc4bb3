"""How much a file may cost before it is refused: one table for every format.

`Budgets().scaled(4)` is what `open_checkpoint(..., budget_scale=4)` reads with. The limits that
keep one header below 450 MB of memory are estimates on the safe side, checked before the memory
is spent; where the system tells what a process holds, that decides up to twice the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from normcli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits for one file; bytes where nothing else is said.

    Attributes:
        header: A safetensors header or an index; the format itself says 100 MB.
        memory: What a header may take in memory, of any kind.
        pickle: One pickle.
        opcodes: Opcodes of all pickles of a file.
        steps: Containers and tensors that the walk that names them passes.
        created: Strings, bytes and long integers that a pickle makes, and tensor names.
        tensors: Tensors, named or not.
        name: One tensor name.
        entries: Entries of a zip archive.
        directory: Central directory of a zip archive.
        shards: Files of a sharded checkpoint.
        tuple_keys: Dictionary keys that are tuples.
        depth: Containers inside one another.
        dimensions: Axes of one tensor.
    """

    header: int = 100_000_000
    memory: int = 400_000_000
    pickle: int = 256_000_000
    opcodes: int = 5_000_000
    steps: int = 1_000_000
    created: int = 64_000_000
    tensors: int = 1_000_000
    name: int = 65_536
    entries: int = 300_000
    directory: int = 64_000_000
    shards: int = 10_000
    tuple_keys: int = 10_000
    depth: int = 64
    dimensions: int = 64

    def scaled(self, scale: float) -> Budgets:
        """Every limit times `scale`, but for depth and dimensions, which torch shares.

        Raises:
            UsageError: `scale` is not between 1/1000 and 1000.
        """
        if not 0.001 <= scale <= 1000:
            raise UsageError(f"budget scale is {scale}, expected a number from 0.001 to 1000")
        names = [f.name for f in fields(self) if f.name not in ("depth", "dimensions")]
        return Budgets(**{name: int(getattr(self, name) * scale) for name in names})
