"""YAML as people read it, for every file that a person writes: what one person takes for another thing than YAML does is refused."""

from __future__ import annotations

import re
import reprlib
from typing import Any

import yaml

INT_TAG, FLOAT_TAG, MERGE_TAG = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge"))
PLAIN_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]+)?|[+-]?\.(inf|nan)", re.IGNORECASE)


class StrictLoader(yaml.SafeLoader):
    """Safe loader that refuses aliases, merges, duplicate keys, and numbers that YAML reads otherwise than people: 010 is 8, 1:30 is 90."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Without aliases, which can make a short file a huge one."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"line {self.peek_event().start_mark.line + 1}: aliases are not allowed; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Each key once, of which YAML would silently take the last, and no merges."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == MERGE_TAG:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: merges (<<) are not allowed; write the keys out")
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} is there twice; keep one")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def plain_number(self, node: Any) -> int | float:
        """A number in the usual digits."""
        text = self.construct_scalar(node)
        if not PLAIN_NUMBER.fullmatch(text):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {reprlib.repr(text)} must be a plain decimal number, such as 0.05")
        return int(text) if node.tag == INT_TAG else self.construct_yaml_float(node)


for _tag in (INT_TAG, FLOAT_TAG):
    StrictLoader.add_constructor(_tag, StrictLoader.plain_number)
