"""What admins write, file by file. Whatever is not named here is an unknown key."""

from __future__ import annotations

import typing
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from aggregator.model import Kind, Priority
from aggregator.yamltext import Loc


class _Listed:
    """One value alone is a list of one."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        whole = handler(schema)
        return {"anyOf": [whole, whole["items"]]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return value if isinstance(value, list) else [value]


def _weights(limit: float) -> AfterValidator:
    def check(value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key in value:
            try:
                fine = abs(float(key)) <= limit
            except ValueError:
                fine = False
            if not fine:
                raise ValueError(
                    f"{key!r} is no weight; write a number from -{limit:g} to {limit:g}"
                )
        return value

    return AfterValidator(check)


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # A length in the field would be complained of again whenever an item is wrong.
    if not value:
        raise ValueError("holds nothing; add one or remove the key")
    return value


def _four(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(value) != 4:
        raise ValueError(f"has {len(value)} entries; the matrix has four rows of four")
    return value


Words = Annotated[tuple[str, ...], _Listed()]
Keywords = Annotated[Words, AfterValidator(_some)]
RuleId = Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Level = Annotated[int, Field(ge=0, le=3)]


_REFINES = {"not_", "mask", "negation", "part", "within"}  # of themselves these find nothing


class Written(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=False
    )


class Bounds(Written):
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None

    @model_validator(mode="after")
    def _some(self) -> Bounds:
        if self.gt is self.gte is self.lt is self.lte is None:
            raise ValueError("a bound is missing; write gt, gte, lt or lte and a number")
        return self


class AuthorWhen(Written):
    followers: Bounds | None = None
    verified: bool | None = None


class Hours(Written):
    inside: str | None = None
    outside: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Hours:
        if (self.inside is None) == (self.outside is None):
            raise ValueError("write either inside or outside, and a calendar's name")
        return self


class Count(Written):
    of: Keywords
    min: Annotated[int, Field(ge=1)] = 2


class Group(Written):
    """One of `all`: holds one matcher."""

    any: Keywords | None = None
    exact: Keywords | None = None
    count: Count | None = None
    regex: Keywords | None = None

    @model_validator(mode="after")
    def _one(self) -> Group:
        matchers = (self.any, self.exact, self.regex, self.count)
        if sum(one is not None for one in matchers) != 1:
            raise ValueError("a group has one of any, exact, regex and count; split it")
        return self


class Facts(Written):
    """What a condition may ask of a message besides its words."""

    platform: Keywords | None = None
    kind: Annotated[tuple[Kind, ...], _Listed()] | None = None
    account: Keywords | None = None
    lang: Keywords | None = None
    author: AuthorWhen | None = None
    hours: Hours | None = None


class When(Facts):
    any: Keywords | None = None
    exact: Keywords | None = None
    count: Count | None = None
    regex: Keywords | None = None
    all: Annotated[tuple[Group, ...], AfterValidator(_some)] | None = None
    within: Annotated[int, Field(ge=1)] | None = None
    not_: Keywords | None = Field(None, alias="not")
    mask: Keywords | None = None
    negation: Literal["ignore", "block", "flip"] = "ignore"
    part: Literal["own", "quoted", "all"] = "own"
    sentiment: Bounds | None = None

    @model_validator(mode="after")
    def _sense(self) -> When:
        if not self.model_fields_set - _REFINES:
            raise ValueError("nothing to match; add any, all, exact, regex, count or a fact")
        if self.within is not None and not self.all:
            raise ValueError("within needs all: it is the span that its groups fit in")
        return self


class Then(Written):
    urgency: Level = 0
    importance: Level = 0
    labels: Words = ()
    sentiment: Annotated[Number, Field(ge=-3, le=3)] = 0
    at_least: Priority | None = None
    at_most: Priority | None = None


class Expect(Written):
    """`sentiment` is a label (`negative`) or a sign (`<0`, `>0`, `0`)."""

    priority: Priority | None = None
    labels: Words | None = None
    sentiment: Literal["positive", "neutral", "negative", ">0", "<0", "0"] | None = None
    route: str | None = None
    to: Words | None = None


class AuthorIs(Written):
    name: str | None = None
    followers: int | None = None
    verified: bool | None = None


class About(Written):
    """The facts of a message in an example."""

    platform: str | None = None
    kind: Kind | None = None
    account: str | None = None
    lang: str | None = None
    author: AuthorIs | None = None
    sent_at: AwareDatetime | None = None
    quoted: str | None = None


class Example(About):
    """`todo_` marks a known gap: recorded, does not fail."""

    hit: str | None = None
    miss: str | None = None
    todo_hit: str | None = None
    todo_miss: str | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _one(self) -> Example:
        if (
            sum(one is not None for one in (self.hit, self.miss, self.todo_hit, self.todo_miss))
            != 1
        ):
            raise ValueError("an example is one text: hit, miss, todo_hit or todo_miss")
        return self


class ThenSet(Written):
    """What a tune may set of a rule's effects; what it does not name stays."""

    urgency: Level | None = None
    importance: Level | None = None
    labels: Words | None = None
    sentiment: Annotated[Number, Field(ge=-3, le=3)] | None = None
    at_least: Priority | None = None
    at_most: Priority | None = None


Status = Literal["live", "shadow", "off"]


class RuleNode(Written):
    id: RuleId
    title: str = ""
    status: Status = "live"
    when: When
    then: Then = Then()
    final: bool = False
    weight: int | None = None
    tests: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _sense(self) -> RuleNode:
        if self.final and self.weight is None:
            raise ValueError("final needs a weight: rules of lower weight are dropped")
        if (said := unfit(self)) is not None:
            raise ValueError(said)
        return self


def unfit(rule: RuleNode) -> str | None:
    """Why a rule that asks for the mood alone may not do what it says; None where it may."""
    if rule.when.model_fields_set - _REFINES != {"sentiment"}:
        return None
    if rule.then.urgency:
        return "urgency never comes from sentiment alone; add words or facts"
    if rule.then.at_least is not None and rule.then.at_least < Priority.P3:
        return "sentiment alone never raises above P3; add words or facts"
    return None


class TuneNode(Written):
    """Changes rules of other files."""

    rules: Annotated[tuple[RuleId, ...], _Listed(), AfterValidator(_some)]
    add_any: Keywords | None = None
    add_mask: Keywords | None = None
    add_not: Keywords | None = None
    status: Status | None = None
    set: ThenSet | None = None
    tests: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _changes(self) -> TuneNode:
        if not self.model_fields_set - {"rules", "tests"}:
            raise ValueError("changes nothing; add add_any, add_mask, add_not, status or set")
        return self


class File(Written):
    schema_: Literal["1"] = Field("1", alias="schema")


class RuleFile(File):
    lists: dict[str, Words] = {}
    rules: tuple[RuleNode, ...] = ()
    tune: tuple[TuneNode, ...] = ()


class LexiconFile(File):
    """Words with what they say of the mood, by weight; `negators` serve the rules as well."""

    terms: Annotated[dict[str, Words], _weights(3)] = {}
    emoticons: Annotated[dict[str, Words], _weights(3)] = {}
    intensifiers: Annotated[dict[str, Words], _weights(3)] = {}
    negators: Words = ()
    negator_masks: Words = ()
    masks: Words = ()
    contrasts: Words = ()
    doubts: Words = ()
    plain: Annotated[dict[str, Words], _weights(1)] = {}
    irony: Words = ()


class RouteWhen(Facts):
    priority: Annotated[tuple[Priority, ...], _Listed()] | None = None
    labels: Words | None = None


class RouteNode(Written):
    id: RuleId
    when: RouteWhen | None = None
    to: Words
    targets: str | None = None
    mention: Words = ()
    quiet: str | None = None
    continue_: bool = Field(False, alias="continue")


class RouteMessage(About):
    text: str


class RouteExample(Written):
    message: RouteMessage
    expect: Expect


class RouteFile(File):
    routes: Annotated[tuple[RouteNode, ...], AfterValidator(_some)]
    tests: tuple[RouteExample, ...] = ()


Row = Annotated[tuple[Priority, ...], AfterValidator(_four)]


class PriorityFile(File):
    matrix: Annotated[tuple[Row, ...], AfterValidator(_four)]


def keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that the mapping at `loc` takes; none where it is not a model's."""
    at: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int) or at is None:
            continue
        field = next(
            (one for name, one in at.model_fields.items() if part == (one.alias or name)), None
        )
        at = _model_in(field.annotation) if field else None
    return [one.alias or name for name, one in at.model_fields.items()] if at else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(one) for one in typing.get_args(annotation))
    return next((one for one in found if one is not None), None)
