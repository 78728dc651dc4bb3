"""Group B, what is hostile: pickles that call, that are malformed, or that cost too much."""

from __future__ import annotations

import hostile
from cases import NOTED, REFUSED, Case, written
from hostile import integer, name, pickle, row, table, tensor, text
from zip_files import NUMBERS

_RUNS = "code of a stranger is run"
_CONFUSED = "two machines build two things of it"
_COSTLY = "a small file fills the memory or the day"


def beside(value, key="x"):
    """A tensor, and something else in the same dict."""
    return pickle(table((text("a"), tensor()), (text(key), value)))


def _refused(label, pickled, says, why, **more):
    content = pickled if callable(pickled) else lambda: pickled
    build = written("model.pt", lambda: hostile.archive(content()))
    return Case(label, "B", build, REFUSED, says, why, **more)


# What a hostile file would call: module, name, arguments. Each leaves `marker` behind.
CALLS = {
    "os.system": ("os", "system", text("touch marker")),
    "eval": ("builtins", "eval", text("__import__('os').system('touch marker')")),
    "subprocess": ("subprocess", "check_call", b"]" + text("touch") + b"a" + text("marker") + b"a"),
}


def by_reduce(module, attribute, argument):
    """GLOBAL, the arguments, REDUCE."""
    return name(module, attribute) + row(argument) + b"R"


def by_stack_global(module, attribute, argument):
    """The name from two strings, as protocol 4 has it."""
    return text(module) + text(attribute) + b"\x93" + row(argument) + b"R"


def by_inst(module, attribute, argument):
    """Name and call in one opcode, of protocol 0."""
    return b"(" + argument + b"i" + module.encode() + b"\n" + attribute.encode() + b"\n"


WAYS = {"REDUCE": by_reduce, "STACK_GLOBAL": by_stack_global, "INST": by_inst}


def _called(what, way):
    module, attribute, _ = CALLS[what]
    says = f"refused: holds objects that are not tensors or plain data: {module}.{attribute} (1"
    return _refused(f"{what} by {way}", beside(WAYS[way](*CALLS[what])), says, _RUNS)


def _ordered_twice():
    """OrderedDict([("k", a), ("k", b)]): Python keeps the last one without a word."""
    pairs = b"](" + 2 * row(text("k"), tensor()) + b"e"
    return name("collections", "OrderedDict") + row(pairs) + b"R"


def _doubling(pair, leaf):
    """Forty containers, each of which holds the one before twice."""
    steps = [pair % (n, n) + b"q" + bytes([n + 1]) + b"0" for n in range(40)]
    return pickle(leaf + b"q\x000" + b"".join(steps) + b"h\x28")


def _doubling_keys():
    """A key whose hash visits 2⁴⁰ leaves."""
    built = _doubling(b"h%ch%c\x86", b")")[2:-1]
    return pickle(table((built, b"N")))


def _encoded():
    """Text that is encoded again and again: 4 MB of file, 80 MB of bytes."""
    again = (name("_codecs", "encode") + b"h\0h\1\x86R") * 20
    return pickle(b"(" + text("x" * 4_000_000) + b"q\0" + text("latin1") + b"q\1" + again + b"l")


_CALLING = (
    *(_called(what, way) for what in CALLS for way in WAYS),
    _refused("a global that is pushed and not called", beside(name("os", "system")),
             "os.system (1, at x)", "an import runs code, too"),
    _refused("a global that is popped at once", beside(name("os", "system") + b"0N"),
             "os.system (1)", "an import runs code, too"),
    _refused("names of foreign objects with control characters",
             beside(name("[red]\x1b]0;x\x07::error::\u202e", "B") + b")\x81"),
             r"[red]\x1b]0;x\x07::error::\u202e.B (1, at x)", "the message speaks to the terminal"),
)  # fmt: skip

_MALFORMED = (
    _refused("opcodes after STOP", pickle(b"}") + b"N.", "goes on for 2 bytes after STOP",
             _CONFUSED),
    _refused("no STOP", b"\x80\x02}", "before STOP", _CONFUSED),
    _refused("stack underflow", b"\x80\x02.", "takes from an empty stack", "torch crashes"),
    _refused("stack underflow below a MARK", pickle(b"N(\x85"), "empty stack", _CONFUSED),
    _refused("missing memo", pickle(b"h\x07"), "asks for memo 7, which nothing was put in",
             _CONFUSED),
    _refused("bad UTF-8", pickle(b"X\x01\0\0\0\xff"), "holds text that is not UTF-8", _CONFUSED),
    _refused("nested tuples as a key", pickle(table((row(row(b"N")), b"N"))),
             "a dictionary key that is no plain scalar", "hashing them takes for ever"),
    _refused("doubling tuples as a key", _doubling_keys,
             "a dictionary key that is no plain scalar", "hashing them takes for ever"),
    _refused("BUILD on a dict", pickle(b"}" + table((text("items"), b"N")) + b"b"),
             "gives a value a state that torch does not write",
             "the dict's `items` is replaced: its tensors hide"),
    _refused("BUILD on a tensor", pickle(tensor() + table((text("shape"), b"N")) + b"b"),
             "gives a tensor a state that torch does not write", "its attributes lie"),
    _refused("a key twice", pickle(table((text("k"), tensor()), (text("k"), tensor()))),
             "sets the key 'k' of a dict twice", "one of two weights is measured"),
    _refused("a key twice in an OrderedDict", pickle(_ordered_twice()),
             "makes an OrderedDict with a key twice", "one of two weights is measured"),
    _refused("a name of 1 MB", pickle(table((text("n" * 1_000_000), tensor()))),
             "has 1000000 characters", "every table and message is that long"),
)  # fmt: skip

_EXPENSIVE = (
    _refused("deep lists", pickle(b"]" * 100_000 + b"a" * 99_999), "nested deeper than 64",
             "recursion crashes the process"),
    _refused("many opcodes", lambda: pickle(b"N0" * 3_000_000 + b"N"), "more than 5000000 opcodes",
             _COSTLY, spends=True),
    _refused("many dicts", lambda: pickle(b"(" + b"}" * 4_900_000 + b"l"), "bytes of memory",
             _COSTLY, spends=True),
    _refused("doubling lists", lambda: _doubling(b"](h%ch%ce", tensor()),
             "refused: it holds more than", _COSTLY, spends=True),
    _refused("bytearray of a size", beside(by_reduce("builtins", "bytearray", integer(2**40))),
             "calls builtins.bytearray with arguments that torch does not write", _COSTLY),
    _refused("bytearray past the end", pickle(b"\x96" + (2**40).to_bytes(8, "little")),
             "a string of 1099511627776 bytes, past its end", _COSTLY),
    _refused("encode again and again", _encoded, "bytes of strings", _COSTLY),
    _refused("encode to another encoding",
             beside(name("_codecs", "encode") + row(text("a"), text("utf-7")) + b"R"),
             "calls _codecs.encode with arguments that torch does not write",
             "an encoding is code that is looked up by name"),
    Case("a dict that holds itself", "B",
         written("model.pt", lambda: hostile.archive(
             pickle(b"}q\0(" + text("a") + tensor(shape=(2, 2), stride=(2, 1))
                    + text("self") + b"h\0u"), {"0": NUMBERS})),
         NOTED, "holds itself", "a walk without end"),
)  # fmt: skip

CASES: tuple[Case, ...] = (*_CALLING, *_MALFORMED, *_EXPENSIVE)
