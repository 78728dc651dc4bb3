"""Where the results go: standard output and files, all of them decided before anything is read."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from normcli.cli.arguments import one_of
from normcli.cli.files import append, publish, refuse
from normcli.cli.messages import wants_color
from normcli.cli.screen import WIDTH, page_on
from normcli.durable import is_same
from normcli.errors import OutputError, UsageError
from normcli.render import FORMATS, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import TextIO

    from normcli.render import Document

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Formats:
    """What a command can be asked for, and what it gives where nobody asks.

    Attributes:
        names: All of them.
        suffixes: Suffix of a file → its format.
        on_terminal: What standard output gets that is a terminal.
        elsewhere: What a pipe gets, and a file whose suffix says nothing.
    """

    names: Collection[str]
    suffixes: Mapping[str, str]
    on_terminal: str
    elsewhere: str


MEASURED = Formats(
    FORMATS,
    {
        ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".md": "markdown",
        ".tsv": "plain", ".txt": "table",
    },
    "table",
    "plain",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """One output.

    Attributes:
        format: One of those of the command.
        path: None for standard output.
        appends: Whether it is added to a file, as to a job summary.
        force: Whether a file that exists is replaced.
    """

    format: str
    path: Path | None
    appends: bool = False
    force: bool = False


def plan(
    chosen: str | None,
    output: str | None,
    reports: Sequence[str],
    *,
    force: bool,
    inputs: Sequence[str],
    formats: Formats = MEASURED,
) -> tuple[Product, ...]:
    """The outputs of `--format`, `--output` and `--report`; standard output comes last.

    Raises:
        UsageError: A format is not known, or two outputs are the same.
        OutputError: A file exists, is an input, or cannot be replaced.
    """
    found = [_product(each, formats, force=force) for each in reports]
    path = None if output in (None, "-") else Path(str(output))
    name = _format(chosen, path, formats)
    found.append(Product(name, path, force=force))
    _refuse_twins(found)
    for product in found:
        if product.path is not None and not product.appends:
            refuse(product.path, force=force, inputs=inputs)
    return tuple(sorted(found, key=lambda product: product.path is None))


def streams(products: Iterable[Product]) -> bool:
    """Whether weights can be written to standard output as they come."""
    return any(product.path is None and product.format == "jsonl" for product in products)


def write(products: Iterable[Product], document: Document, *, color: str) -> None:
    """Every output of a document; nothing is written where no checkpoint could be read."""
    if document.sheets:
        deliver(products, document, FORMATS, color=color)


def deliver(
    products: Iterable[Product],
    result: T,
    formats: Mapping[str, Callable[[T, Page], None]],
    *,
    color: str,
) -> None:
    """Every output; files first, so that a broken pipe does not keep them from being written."""
    for product in products:
        render = partial(formats[product.format], result)
        if product.path is None:
            render(screen(color))
            put("")
        elif product.appends:
            append(product.path, _writer(render))
        else:
            publish(product.path, _writer(render), force=product.force)


def screen(color: str) -> Page:
    """Standard output as it is: its width, colours and letters."""
    return page_on(sys.stdout, color=wants_color(color, sys.stdout, os.environ))


def put(text: str) -> None:
    """Write to standard output now, not when the program ends.

    Raises:
        BrokenPipeError: Nobody reads it any more.
        OutputError: It is closed or full.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "is closed" if error.errno == errno.EBADF else error.strerror or str(error)
        raise OutputError(reason, where="standard output") from error


def put_path(path: str) -> None:
    """A path on a line of its own, in the bytes that the file system knows it by."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    put("")


def _writer(render: Callable[[Page], None]) -> Callable[[TextIO], None]:
    return lambda out: render(Page(out, WIDTH))


def _product(text: str, formats: Formats, *, force: bool) -> Product:
    name, equals, place = text.partition("=")
    if not (equals and place):
        raise UsageError(
            f"{text!r} is not FORMAT=PATH", where="--report", hint="write --report json=norms.json"
        )
    one_of(name, formats.names, what="format", where="--report")
    if place == "-":
        return Product(name, None)
    path, summary = Path(place), os.environ.get("GITHUB_STEP_SUMMARY")
    appends = name == "markdown" and bool(summary) and is_same(path, Path(str(summary)))
    return Product(name, path, appends, force)


def _format(chosen: str | None, path: Path | None, formats: Formats) -> str:
    if chosen is not None:
        return one_of(chosen, formats.names, what="format", where="--format")
    if path is not None:
        return formats.suffixes.get(path.suffix.lower(), formats.elsewhere)
    return formats.on_terminal if sys.stdout.isatty() else formats.elsewhere


def _refuse_twins(products: Sequence[Product]) -> None:
    places = [None if p.path is None else Path(os.path.realpath(p.path)) for p in products]
    for number, place in enumerate(places):
        if place in places[:number]:
            name = "standard output" if place is None else str(products[number].path)
            raise UsageError(
                "is named for two outputs", where=name, hint="give each a place of its own"
            )
