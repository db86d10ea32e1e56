"""Scenarios as text: YAML that a person would have written."""

import re
from typing import Any

import yaml

_WIDTH = 110
_INLINE = 60
"""Characters of the texts of a mapping or list that is small."""


def as_literal(value: Any) -> Any:
    """A value in which templates stand for themselves."""
    match value:
        case str():
            return re.sub(r"\{\{|\{%|\{#", lambda found: "{{ '" + found[0] + "' }}", value)
        case dict():
            return {key: as_literal(item) for key, item in value.items()}
        case list():
            return [as_literal(item) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Write every value out."""
        return True


class _InlineDumper(_Dumper):
    """Writes small mappings and lists on one line too."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        """Represent a mapping; on one line if it is small."""
        node = super().represent_mapping(tag, mapping, flow_style)
        node.flow_style = _is_small([one for pair in node.value for one in pair])
        return node

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        """Represent a list; on one line if it is small."""
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = _is_small(node.value)
        for one in node.value:
            if isinstance(one, yaml.MappingNode) and len(one.value) == 1:
                # A step or a turn reads best on a line of its own.
                one.flow_style = False
        return node


def _is_small(nodes: list[yaml.Node]) -> bool:
    texts = [node.value for node in nodes if isinstance(node, yaml.ScalarNode)]
    return len(texts) == len(nodes) and sum(map(len, texts)) <= _INLINE and not any("\n" in text for text in texts)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = (
        "|"
        if "\n" in text and not re.search(r"[^\S\n](?:\n|$)|^\s|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]", text)
        else None
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
_InlineDumper.add_representer(str, _write_text)


def write_yaml(value: Any, *, inline: bool = False) -> str:
    """JSON as YAML, keys in their order, texts of several lines as blocks; `inline` writes small mappings and lists on one line."""
    dumper = _InlineDumper if inline else _Dumper
    return yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
