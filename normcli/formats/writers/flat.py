"""The tensors of an output as one state dict without sections: these become prefixes of names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from normcli.errors import CheckpointError
from normcli.formats.spelling import quoted, several
from normcli.records import Given

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from normcli.formats.base import Checkpoint
    from normcli.formats.writers.draft import Draft
    from normcli.records import TensorRef


@dataclass(frozen=True, slots=True)
class Flat:
    """A tensor of an output without sections.

    Attributes:
        ref: Its header line there.
        given: What the draft says of it, under the name that the draft has for it.
    """

    ref: TensorRef
    given: Given

    @property
    def name(self) -> str:
        """Of the output."""
        return self.ref.key


def placed(checkpoint: Checkpoint, draft: Draft) -> Iterator[Given]:
    """Every tensor of the output, in the order of the input."""
    for name, ref in checkpoint.tensors.items():
        yield from draft.places.get(name, (Given(ref, name, kept=name),))


def flat_tensors(checkpoint: Checkpoint, draft: Draft) -> list[Flat]:
    """The tensors of the output with `SECTION/KEY` as `SECTION.KEY`, in the order of the input.

    Raises:
        CheckpointError: Two of them get one name.
    """
    before: dict[str, str] = {}
    tensors: list[Flat] = []
    for given in placed(checkpoint, draft):
        name = dotted(given.ref.section, given.ref.key)
        other = before.setdefault(name, given.ref.name)
        if len(before) == len(tensors):
            raise CheckpointError(
                f"{quoted(other)} and {quoted(given.ref.name)} would both be named {quoted(name)}",
                hint="write a .pt file, which keeps sections apart",
            )
        tensors.append(Flat(replace(given.ref, section="", key=name, storage="", note=""), given))
    return tensors


def flat_metadata(checkpoint: Checkpoint, draft: Draft) -> dict[str, Any]:
    """`_metadata` of all sections as that of one: module paths follow the names of the tensors."""
    sections = {**checkpoint.metadata, **draft.metadata}
    return {
        dotted(section, path): entry
        for section, entries in sections.items()
        for path, entry in entries.items()
    }


def dotted(section: str, path: str) -> str:
    """A key or a module path with the section in front of it."""
    return ".".join(filter(None, (section.replace("/", "."), str(path))))


def section_notes(checkpoint: Checkpoint) -> list[str]:
    """That sections became prefixes, where there are any."""
    sections = list(dict.fromkeys(r.section for r in checkpoint.tensors.values() if r.section))
    if not sections:
        return []
    prefixes = several((quoted(f"{dotted(section, '')}.") for section in sections), most=3)
    return [f"the containers of the tensors became prefixes of their names: {prefixes}"]


def modules_above(keys: Iterable[str]) -> set[str]:
    """Paths of all modules that these keys of a state dict lie in, the root included."""
    modules: set[str] = set()
    for key in keys:
        path = key
        while path:
            path = path.rpartition(".")[0]
            if path in modules:
                break
            modules.add(path)
    return modules
