"""Whether a value satisfies a schema: asked of jsonschema-rs, except for patterns (RE2) and formats (ours).

Not judged: `unevaluatedItems`, `dependentSchemas`, `$dynamicRef`, formats that are not known here, and what the network has.
"""

from typing import TYPE_CHECKING, Any

from emulator.engine.sampling.formats import has_format
from emulator.engine.sampling.keywords import Schema, normalize, walk
from emulator.engine.sampling.patterns import matches
from emulator.engine.sampling.schema import Document, Part, contradiction, too_large
from emulator.errors import AnswerError

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, Registry

_DEFINITIONS = "urn:definitions"
_MOST_COMBINATIONS = 100_000


class Validity:
    """Validators for the schemas of one document, each compiled when first asked for."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._validators: dict[str, Draft202012Validator] = {}
        self._definitions: dict[str, Schema] = {}
        """What a `$ref` points to, by pointer."""
        self._registry: Registry | None = None

    def is_valid(self, value: Any, part: Part) -> bool:
        """Whether the value satisfies the schema.

        Raises:
            AnswerError: The schema has too many combinations, or it or the value nests too deeply.
        """
        if part.never or not part.keywords:
            return not part.never
        try:
            if part.pointer not in self._validators:
                self._validators[part.pointer] = self._compile(part)
            return self._validators[part.pointer].is_valid(value)
        except ValueError:
            raise contradiction(part.pointer, "it nests too deeply, or has text that is not Unicode") from None

    def _compile(self, part: Part) -> "Draft202012Validator":
        from jsonschema_rs import Draft202012Validator, RegexOptions, Registry  # noqa: PLC0415  # slow to import

        schema = self._linked(part)
        if self._registry is None:
            root = self._linked(self._document.root)
            if self._most_combinations([root, *self._definitions.values()]) > _MOST_COMBINATIONS:
                raise too_large(part.pointer, "its branches have too many combinations")
            self._registry = Registry([(_DEFINITIONS, {"$defs": self._definitions})])
        return Draft202012Validator(
            schema,
            keywords={"pattern": _Pattern, "format": _Format},
            registry=self._registry,
            pattern_options=RegexOptions(),
            offline=True,
        )

    def _linked(self, part: Part) -> Schema:
        """A copy of the schema in which every `$ref` names a definition; one that points to nothing is left out."""
        schema = normalize(part.keywords) if part.keywords else not part.never
        for each in walk(schema):
            if "$ref" not in each:
                continue
            try:
                target = self._document.target(Part(part.pointer, each))
            except AnswerError:
                target = None
            del each["$ref"]
            if target is not None:
                name = target.pointer.encode().hex()
                if name not in self._definitions:
                    self._definitions[name] = True  # ends recursion
                    self._definitions[name] = self._linked(target)
                each["$ref"] = f"{_DEFINITIONS}#/$defs/{name}"
        return schema

    def _most_combinations(self, schemas: list[Schema]) -> int:
        """The largest number of schemas, each counted as often as it is reached, that judge one value together."""
        counts: dict[str, int] = {}

        def count(schema: Schema) -> int:
            return sum(1 + (follow(each["$ref"]) if "$ref" in each else 0) for each in walk(schema, in_place=True))

        def follow(reference: str) -> int:
            if reference not in counts:
                counts[reference] = 0  # a schema that leads back to itself adds nothing
                counts[reference] = count(self._definitions[reference.rpartition("/")[2]])
            return counts[reference]

        return max((count(each) for schema in schemas for each in walk(schema)), default=0)


class _Keyword:
    """A keyword that the validator leaves to us; made for each schema that has it."""

    def __init__(self, _schema: dict[str, Any], value: str, _path: list[str | int]) -> None:
        self._value = value


class _Pattern(_Keyword):
    def validate(self, instance: Any) -> None:
        """Raise ValueError for a text in which the pattern is not found."""
        if isinstance(instance, str) and not matches(self._value, instance):
            raise ValueError


class _Format(_Keyword):
    def validate(self, instance: Any) -> None:
        """Raise ValueError for a text that is not of the format."""
        if isinstance(instance, str) and not has_format(instance, self._value):
            raise ValueError
