"""What models have besides their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kubernaut import _svg
from kubernaut._groups import GROUPS

if TYPE_CHECKING:
    from kubernaut._models import Analysis, ObjectRef, Report

_M = TypeVar("_M", bound="Model")


class Model:
    """The base of all models: immutable values that are read from and written as JSON."""

    __slots__ = ()

    # Here once instead of in each class: making them for all classes would take a third of the time that an import takes.
    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in cast(Any, self).__dataclass_fields__)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        names = cast(Any, self).__dataclass_fields__
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in zip(names, self._values()))})"

    @classmethod
    def from_dict(cls: type[_M], data: Mapping[str, Any]) -> _M:
        """Reads it from JSON values."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Writes it as JSON values."""
        raise NotImplementedError


class ObjectRefExtras(Model):
    """Short forms of references."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        """Reads `Kind/namespace/name`, or `Kind/name` where cluster-scoped.

        >>> ObjectRef.parse("Deployment/shop/web").namespace
        'shop'
        """
        from kubernaut._errors import InvalidInputError
        from kubernaut._models import ObjectRef

        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise InvalidInputError(f"expected Kind/namespace/name, or Kind/name where cluster-scoped: {text!r}")
        kind, name = parts[0], parts[-1]
        namespace = parts[1] if len(parts) == 3 else None
        return ObjectRef(kind=kind, namespace=namespace, name=name, group=GROUPS.get(kind, ""))

    def __str__(self) -> str:
        me = cast("ObjectRef", self)
        return "/".join(part for part in (me.kind, me.namespace, me.name) if part)


class ReportExtras(Model):
    """Pictures of an ad-hoc analysis."""

    __slots__ = ()

    def chain_svg(self) -> str:
        """The chain from symptom to cause as an SVG picture."""
        return _svg.report(cast("Report", self))

    def _repr_html_(self) -> str:
        return _svg.page(cast("Report", self))


class AnalysisExtras(Model):
    """Pictures of the analysis of an incident."""

    __slots__ = ()

    def chain_svg(self) -> str:
        """The chain from symptom to cause as an SVG picture."""
        return _svg.analysis(cast("Analysis", self))

    def _repr_html_(self) -> str:
        return _svg.analysis(cast("Analysis", self))
