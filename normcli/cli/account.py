"""What a command that writes a checkpoint says of it: where, in which form, and with what else."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from normcli import __version__
from normcli.cli import products
from normcli.cli.arguments import one_of
from normcli.cli.files import CHECKPOINTS, refuse
from normcli.cli.paths import each, exit_code
from normcli.cli.progress import progress
from normcli.cli.screen import page_on
from normcli.durable import is_same
from normcli.errors import OutputError, UsageError
from normcli.render.rewriting import RewritingDocument, footer, remarks, said
from normcli.render.rewriting_formats import REWRITING_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from normcli.cli.messages import Voice
    from normcli.cli.products import Product
    from normcli.cli.progress import Observe
    from normcli.cli.writing import Writing
    from normcli.records import Rewriting

_WHOLE = ("table", "markdown")  # formats that say everything that there is to say
_NOTES = 10  # about single weights


@dataclass(frozen=True, slots=True)
class Account:
    """Where a rewriting is told of, decided before anything is read.

    Attributes:
        voice: Of standard error.
        color: Choice of `--color`, for standard output.
        products: A receipt, and a document on standard output; without one on standard output
            the path of the checkpoint is printed there, and a table on standard error.
    """

    voice: Voice
    color: str
    products: tuple[Product, ...]

    @property
    def format(self) -> str:
        """Of the document on standard output; empty where there is none."""
        return next((each.format for each in self.products if each.path is None), "")

    @property
    def hashes(self) -> bool:
        """Whether anything holds the sha256 of the files."""
        return any(product.format == "json" for product in self.products)


def plan(voice: Voice, writing: Writing) -> Account:
    """The account of a run, of `--format` and `--receipt`.

    Raises:
        UsageError: Options that exclude each other, or a format that is not known.
        OutputError: The receipt exists, is an input, or cannot be written.
    """
    _check_output(writing)
    found = []
    if writing.receipt is not None:
        receipt = Path(writing.receipt)
        _check_receipt(receipt, writing)
        found.append(products.Product("json", receipt, force=writing.force))
    chosen = writing.format_
    if chosen is not None:
        one_of(chosen, REWRITING_FORMATS, what="format", where="--format")
    elif writing.dry_run:
        chosen = "table" if sys.stdout.isatty() else "plain"
    if chosen is not None:
        found.append(products.Product(chosen, None))
    return Account(voice, writing.color, tuple(found))


def give(
    account: Account,
    path: str,
    write: Callable[[str, Observe], Rewriting],
    *,
    show_progress: bool,
) -> int:
    """Let a writer do its work on a checkpoint and tell of it; the exit code."""
    voice = account.voice
    with progress(shown=show_progress and not voice.quiet, color=voice.color) as bar:
        found = each([path], lambda file: write(file, bar(file)), voice)
    for rewriting in found:
        tell(account, rewriting)
    return exit_code([path], found)


def tell(account: Account, rewriting: Rewriting) -> None:
    """Tell of a rewriting: the receipt first, standard output last."""
    document = RewritingDocument(rewriting, __version__)
    for product in account.products:  # the output may have a name that only the library knew
        if product.path is not None and is_same(product.path, Path(rewriting.output)):
            raise OutputError("is the output itself; no receipt", where=str(product.path))
    if not account.format:
        _show(account.voice, document)
    elif not (account.format in _WHOLE and sys.stdout.isatty()):
        _note(account.voice, rewriting)
    products.deliver(account.products, document, REWRITING_FORMATS, color=account.color)
    if not account.format:
        products.put_path(rewriting.output)


def _show(voice: Voice, document: RewritingDocument) -> None:
    """The table on standard error, as wide as that is."""
    if sys.stderr is None:
        return
    text = StringIO()
    REWRITING_FORMATS["table"](document, page_on(sys.stderr, color=voice.color, out=text))
    voice.show(text.getvalue())


def _note(voice: Voice, rewriting: Rewriting) -> None:
    """Everything but the table, a line each."""
    about = remarks(rewriting)
    for name, sentence in (*about[:_NOTES], *said(rewriting)):
        voice.note(f"{name}: {sentence}" if name else sentence)
    if len(about) > _NOTES:
        voice.note(f"{len(about) - _NOTES} more notes (--format json shows all)")
    voice.note(footer(rewriting))


def _check_output(writing: Writing) -> None:
    if writing.in_place and (writing.force or writing.output is not None):
        other = "--force" if writing.output is None else "--output"
        raise UsageError(f"--in-place and {other} exclude each other")
    if writing.output == "-":
        hint = "a checkpoint is verified after it is written"
        raise UsageError("standard output cannot hold a checkpoint", where="--output", hint=hint)


def _check_receipt(receipt: Path, writing: Writing) -> None:
    """Refuse a receipt of nothing, and one in the place of a checkpoint, there or to come."""
    where = str(receipt)
    if writing.dry_run:
        hint = "the plan as JSON is --dry-run --format json"
        raise UsageError("is of what was written, not of --dry-run", where="--receipt", hint=hint)
    if where == "-":
        hint = "standard output is --format json"
        raise UsageError("a receipt is a file", where="--receipt", hint=hint)
    if writing.output is not None and is_same(receipt, Path(writing.output)):
        raise UsageError("is named for two outputs", where=where)
    if receipt.name.lower().endswith(CHECKPOINTS) and not os.path.lexists(receipt):
        raise OutputError("is named like a checkpoint", where=where, hint="name it .json")
    refuse(receipt, force=writing.force, inputs=[writing.path])
