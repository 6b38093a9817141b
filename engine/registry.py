"""Which operator class stands for which node type.

Pure but for importing operator modules on first use. Source: FR-002.

    declare, register    the last one counts: a pipeline's own classes, a user's --operators
    claim                a name that another has is refused: what installed packages and
                         @register_node bring together without knowing of each other
    refuse               the name is known and cannot be had; whoever uses it is told why
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from engine.errors import UsageError
from engine.importable import import_named
from engine.operator import Operator, begins_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A class of another kind (of an older node API) names the operator that stands for it by this
#: attribute of its own.
STANDS_FOR: Final = "__operator__"

#: Classes made inside functions, which no import finds, by their targets.
_LOCAL_CLASSES: WeakValueDictionary[str, type[Operator]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """A node type and the class behind it.

    Attributes:
        node_type: name in manifests.
        target: "module:qualname", by which another process finds the class.
        cls: the class.
        pattern: registered as a Python node through the compatibility layer, so that the pattern
            rule (name ends with "Node" → process) applies to it.
    """

    node_type: str
    target: str
    cls: type[Operator]
    pattern: bool = False

    @property
    def begins_stage(self) -> bool:
        """Whether a local node of this type begins a stage."""
        return begins_stage(self.cls)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a node type before its class is imported.

    Attributes:
        node_type: name in manifests.
        target: "module:qualname" of the class; "" where it cannot be had.
        pattern: see `OperatorSpec`.
        origin: who brought it, for people: "remotemedia", "acme-nodes 1.2"; "" where that is plain.
        fault: why it cannot be had, or "".
    """

    node_type: str
    target: str
    pattern: bool = False
    origin: str = ""
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.target} of {self.origin}" if self.origin else self.target


class Registry:
    """Maps node types to operators; modules are imported when a type is first asked for."""

    def __init__(self) -> None:
        self._declared: dict[str, Declaration] = {}
        self._specs: dict[str, OperatorSpec] = {}

    def declare(
        self, node_type: str, target: str, *, pattern: bool = False, origin: str = ""
    ) -> None:
        """Say where a node type's class is, without importing it.

        Args:
            node_type: name in manifests; may be declared again, the last one counts.
            target: "module:qualname".
            pattern: whether the pattern rule applies to it, see `OperatorSpec`.
            origin: who brought it, see `Declaration`.
        """
        self._declared[node_type] = Declaration(node_type, target, pattern, origin)
        self._specs.pop(node_type, None)

    def register(
        self, cls: type[Operator], node_type: str | None = None, *, pattern: bool = False
    ) -> None:
        """Register a class that is already imported; the last one counts."""
        name = node_type or cls.node_type
        target = target_of(cls)
        self._declared[name] = Declaration(name, target, pattern)
        self._specs[name] = OperatorSpec(name, target, cls, pattern)

    def claim(self, declaration: Declaration, cls: type[Operator] | None = None) -> None:
        """Declare a node type, unless another class has the name.

        Args:
            declaration: what is declared; a class may take its own name again.
            cls: the class, where it is imported already.

        Raises:
            UsageError: another class has the name; says which two.
        """
        name = declaration.node_type
        known = self._declared.get(name)
        if known is not None and not _same_class(known.target, declaration.target):
            first = known.fault or f"{name!r} is the node type of {known}"
            raise UsageError(
                f"{first}; {declaration} cannot have it too: give one another name, or leave one"
                " out",
                node_type=name,
            )
        self._declared[name] = declaration
        self._specs.pop(name, None)
        if cls is not None:
            self._specs[name] = OperatorSpec(name, declaration.target, cls, declaration.pattern)

    def refuse(self, node_type: str, fault: str, *, origin: str = "") -> None:
        """Say that a node type is known and cannot be had.

        Args:
            node_type: name in manifests; what was declared for it is dropped.
            fault: why; whoever uses the type is told.
            origin: who brought it, see `Declaration`.
        """
        self._declared[node_type] = Declaration(node_type, "", origin=origin, fault=fault)
        self._specs.pop(node_type, None)

    def __contains__(self, node_type: str) -> bool:
        return node_type in self._declared

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._declared))

    def declarations(self) -> list[Declaration]:
        """What is declared, by node type; imports nothing."""
        return [self._declared[name] for name in self]

    def get(self, node_type: str) -> OperatorSpec | None:
        """The spec of a node type, or None where it is unknown.

        Raises:
            UsageError: the class cannot be had; says why.
        """
        found = self._specs.get(node_type)
        if found is not None:
            return found
        declared = self._declared.get(node_type)
        if declared is None:
            return None
        spec = OperatorSpec(node_type, declared.target, _class_of(declared), declared.pattern)
        self._specs[node_type] = spec
        return spec

    def copy(self) -> Registry:
        """A registry that can be added to without changing this one."""
        other = Registry()
        other._declared.update(self._declared)
        other._specs.update(self._specs)
        return other

    def take(self, other: Registry, *, origin: str) -> list[UsageError]:
        """Claim everything another registry declares.

        Args:
            other: imported from nowhere else afterwards.
            origin: who brought it, see `Declaration`.

        Returns:
            One error for each name that another class has; such a name cannot be had from then on.
        """
        clashes = []
        for declaration in other.declarations():
            try:
                cls = other._specs.get(declaration.node_type)
                self.claim(replace(declaration, origin=origin), cls.cls if cls else None)
            except UsageError as error:
                self.refuse(declaration.node_type, error.message)
                clashes.append(error)
        return clashes


def _class_of(declared: Declaration) -> type[Operator]:
    if declared.fault:
        raise UsageError(declared.fault, node_type=declared.node_type)
    try:
        return resolve(declared.target)
    except UsageError as error:
        if declared.origin:
            text = f"{error.message} ({declared.node_type} was brought by {declared.origin})"
            raise UsageError(text, **error.context) from error
        raise


def _same_class(target: str, other: str) -> bool:
    """Whether two targets mean one class, or the same one made anew.

    A package may say again what one of its modules has.
    """
    module, _, qualname = target.partition("@")[0].partition(":")
    other_module, _, other_qualname = other.partition("@")[0].partition(":")
    return qualname == other_qualname and module.partition(".")[0] == other_module.partition(".")[0]


def target_of(cls: type[Operator]) -> str:
    """A class's "module:qualname"; inside a function also a number, which tells classes apart."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    if "<locals>" not in cls.__qualname__:
        return target
    target = f"{target}@{id(cls):x}"
    _LOCAL_CLASSES[target] = cls
    return target


def resolve(target: str) -> type[Operator]:
    """Import the class a target names.

    Raises:
        UsageError: no such module or class, a dependency of it is missing, the module raised, or it
            is no operator.
    """
    local = _LOCAL_CLASSES.get(target)
    if local is not None:
        return local
    found = import_named(target)
    if isinstance(found, type):
        # Of its own: what inherits from such a class has no operator yet.
        found = vars(found).get(STANDS_FOR, found)
    if not (isinstance(found, type) and issubclass(found, Operator)):
        raise UsageError(f"{target!r} is not an Operator class", target=target)
    return found
