"""What a client's manifest may reach outside of its pipeline. Source: US3.

Nothing, unless the service allows it: no other server, no file, no function of a module. Checked
before the params are validated, since validating some of them imports what they name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Problem, UsageError
from engine.manifest.params import accepted_spellings
from engine.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.operator import Operator
    from engine.reach import Reach
    from engine.registry import Registry

#: At most so many are told of one manifest.
_PROBLEMS_MAX: Final = 100
_ALL_NAMES: Final = "*"


@dataclass(frozen=True, slots=True)
class Access:
    """What clients' manifests may name.

    Attributes:
        hosts: servers, as "host:port"; "host:*" any port of one.
        files: directories, absolute: they and what is in them, wherever links lead.
        imports: functions, as "module:function"; "module:*" every public name of a module, and so
            what it has imported, too.

    Raises:
        UsageError: an entry has another form.
    """

    hosts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for host in self.hosts:
            name, colon, port = host.rpartition(":")
            if not (name and colon and (port == _ALL_NAMES or port.isdecimal())):
                raise UsageError(f"allowed_hosts: {quoted(host)} is not host:port, or host:*")
        for path in self.files:
            if not Path(path).is_absolute():
                raise UsageError(f"allowed_files: {quoted(path)} is no absolute path")
        for name in self.imports:
            module, colon, attribute = name.partition(":")
            if not (module and colon and attribute):
                raise UsageError(
                    f"allowed_imports: {quoted(name)} is not module:function, or module:*"
                )

    def problems(self, document: Mapping[str, Any], registry: Registry) -> list[Problem]:
        """What a document names that it may not.

        Args:
            document: made of a client's manifest; not validated.
            registry: the operators there are.
        """
        found: list[Problem] = []
        for index, node in enumerate(document.get("nodes") or ()):
            for problem in self._of_node(f"nodes[{index}]", node, registry):
                found.append(problem)
                if len(found) >= _PROBLEMS_MAX:
                    return found
        return found

    def _of_node(self, path: str, node: Mapping[str, Any], registry: Registry) -> Iterator[Problem]:
        node_id = node["id"]
        host = node.get("host")
        if host and not self._allows_host(host):
            yield Problem(
                f"{path}.host",
                f"names the server {quoted(host)}, which this service does not reach for clients;"
                " its operator allows some by allowed_hosts",
                node_id=node_id,
            )
        params = node.get("params")
        if not isinstance(params, dict):
            return
        try:
            spec = registry.get(node["node_type"])
        except UsageError:  # it cannot be had, as planning will say
            return
        if spec is None:
            return
        try:
            reaches = list(spec.cls.reaches(_renamed(spec.cls, params)))
        except RecursionError:
            yield Problem(f"{path}.params", "is nested too deeply", node_id=node_id)
            return
        for reach in reaches:
            refusal = self._refusal(reach)
            if refusal is not None:
                yield Problem(f"{path}.params.{reach.param}", refusal, node_id=node_id)

    def _refusal(self, reach: Reach) -> str | None:
        """Why something may not be reached; None: it may."""
        if reach.kind == "import":
            if self._allows_import(reach.name):
                return None
            return (
                f"names {quoted(reach.name)}, which this service does not import for clients; its"
                " operator allows some by allowed_imports"
            )
        if self._allows_file(reach.name):
            return None
        return (
            f"would open {quoted(reach.name)}, which this service does not do for clients; its"
            " operator allows directories by allowed_files"
        )

    def _allows_host(self, host: str) -> bool:
        return host in self.hosts or f"{host.rpartition(':')[0]}:{_ALL_NAMES}" in self.hosts

    def _allows_file(self, path: str) -> bool:
        if "\0" in path:
            return False
        real = os.path.realpath(path)
        return any(
            os.path.commonpath([real, root]) == root for root in map(os.path.realpath, self.files)
        )

    def _allows_import(self, target: str) -> bool:
        if target in self.imports:
            return True
        module, _, attribute = target.partition(":")
        # No dots: `module:os.system` would be a way through it.
        public = attribute.isidentifier() and not attribute.startswith("_")
        return public and f"{module}:{_ALL_NAMES}" in self.imports


def _renamed(cls: type[Operator], params: Mapping[str, Any]) -> dict[str, Any]:
    """Params by the names the model takes; of two spellings of one the first counts, as later."""
    spellings = accepted_spellings(cls.Params)
    found: dict[str, Any] = {}
    for name, value in params.items():
        found.setdefault(spellings.get(name, name), value)
    return found
