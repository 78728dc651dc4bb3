"""The JSON Schema of a policy file, for editors: `policy.schema.json` beside this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from normcli.gate.configuration import OPTION_KEYS
from normcli.gate.models import policy_model

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core.core_schema import WithDefaultSchema

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Plain(GenerateJsonSchema):
    """Without titles that say the key again, and without defaults that TOML cannot write."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") in (None, ()):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def policy_schema() -> dict[str, Any]:
    """What `normcli.toml`, or `[tool.normcli]` in pyproject.toml, may hold: the keys of a policy.

    The defaults of options may stand beside them and are not described.
    """
    schema = policy_model().model_json_schema(schema_generator=_Plain)
    options = {name: {"description": f"default of --{name}"} for name in OPTION_KEYS}
    described = {
        **schema,
        "title": "normcli policy",
        "properties": {**schema["properties"], **options},
    }
    return {"$schema": _DIALECT, **described}
