"""The fields and types of a design space in YAML. ``DesignSpace`` checks the rules between fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, ValidationError

from explorer.errors import SpecError, validation_error
from explorer.space.operations import Family
from explorer.space.spec import MAX_HIDDEN, MAX_LAYERS

MAX_OPTIONS = 32
Options = Annotated[list[int], Field(min_length=1, max_length=MAX_OPTIONS)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
ByHidden = Annotated[dict[int, Options], Field(min_length=1, max_length=MAX_OPTIONS)]
if TYPE_CHECKING:
    FamilyName = str
else:
    FamilyName = Literal[tuple(family.value for family in Family)]
TAGS = ("as a list", "by hidden size")


def _tag(value: object) -> str:
    return TAGS[isinstance(value, dict)]


class _FeedForward(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    depth: Options
    width: Options


class SpaceDocument(BaseModel):
    """A design space as a user writes it; ``docs/formats.md`` describes the fields."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Name
    title: str = ""
    hidden: Options
    heads: Annotated[
        Annotated[Options, Tag("as a list")] | Annotated[ByHidden, Tag("by hidden size")], Discriminator(_tag)
    ]
    layers: Options
    operations: Annotated[
        dict[FamilyName, Annotated[list[str | int], Field(min_length=1, max_length=MAX_OPTIONS)]],
        Field(min_length=1),
    ]
    operations_per: Literal["layer", "head"] = "layer"
    feed_forward: _FeedForward
    layers_per_stack: int = Field(default=2, ge=1, le=MAX_LAYERS)
    heterogeneous_feed_forward: bool = False
    backbone: int | None = Field(default=None, ge=1, le=MAX_HIDDEN)
    kernel: Annotated[str, StringConstraints(min_length=1, max_length=64)] = ""
    kernel_parameters: dict[Annotated[str, StringConstraints(max_length=64)], Any] = Field(
        default_factory=dict, max_length=MAX_OPTIONS
    )

    def heads_by_hidden(self, source: str) -> list[list[int]]:
        """Return the options for the number of heads, one list per hidden size. Raises SpecError."""
        if not isinstance(self.heads, dict):
            return [self.heads] * len(self.hidden)
        if set(self.heads) != set(self.hidden):
            rule = f"have one entry for each hidden size {self.hidden}"
            raise SpecError(f"{source}: heads", rule, sorted(self.heads), "Add or remove entries.")
        return [self.heads[size] for size in self.hidden]


def parse_space(document: Any, source: str) -> SpaceDocument:
    """Check a parsed YAML document.

    Args:
        document: the parser's result.
        source: its name in errors.

    Raises:
        SpecError: names the field, the rule, the value and the remedy.
    """
    if not isinstance(document, dict):
        raise SpecError(source, "be a YAML mapping", document, "See data/spaces/nano.yaml for an example.")
    try:
        return SpaceDocument.model_validate(document)
    except ValidationError as error:
        raise validation_error(error, SpecError, source, "Correct this field", members=TAGS) from None
