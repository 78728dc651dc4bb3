"""What the model is built with: the JSON of --model-args."""

from __future__ import annotations

import json
from typing import Any

from normcli.errors import CheckpointError, UsageError
from normcli.formats.strict_json import unique

_WHERE = "--model-args"
_HINT = """write '{"width": 64}' for keywords, '[64]' for positional arguments"""
_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def arguments_of(text: str) -> list[Any] | dict[str, Any]:
    """The arguments in a JSON text: keywords of an object, positional ones of an array.

    Raises:
        UsageError: It is not JSON, or another value.
    """
    try:
        value = json.loads(text, object_pairs_hook=unique)
    except CheckpointError as error:  # a key that comes twice
        raise UsageError(error.message, where=_WHERE) from error
    except RecursionError as error:
        raise UsageError("nests too deep", where=_WHERE) from error
    except ValueError as error:
        raise UsageError(f"is not JSON: {error}", where=_WHERE, hint=_HINT) from error
    if isinstance(value, (list, dict)):
        return value
    found = _KINDS.get(type(value), "null")
    message = f"is {found}, expected an object or an array"
    raise UsageError(message, where=_WHERE, hint=_HINT)
