"""The JSON schemas of manifests and of runtime.toml, made from the models that read them.

`python -m engine.manifest.schema` writes them; `--check` says whether they are current.
Source: FR-001, SC-001.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config import RuntimeFile
from engine.manifest.model import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

#: Where the schemas of a checkout lie.
SCHEMAS = Path(__file__).parents[2] / "schemas"

_MODELS: dict[str, tuple[type[BaseModel], str]] = {
    "manifest.v1.json": (Manifest, "RemoteMedia manifest v1"),
    "runtime.v1.json": (RuntimeFile, "RemoteMedia runtime.toml v1"),
}


def render() -> dict[str, str]:
    """The text of every schema, by the name of its file."""
    return {name: _text(model, title) for name, (model, title) in _MODELS.items()}


def stale(folder: Path = SCHEMAS) -> list[str]:
    """Names of the files in a folder that are missing or not current."""
    return [name for name, text in render().items() if _read(folder / name) != text]


def write(folder: Path = SCHEMAS) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schemas, or check them; the return value is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.manifest.schema")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if not current")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    names = stale()
    for name in names:
        sys.stderr.write(f"schemas/{name} is not current; run python -m engine.manifest.schema\n")
    return 1 if names else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _text(model: type[BaseModel], title: str) -> str:
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(),
        "title": title,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
