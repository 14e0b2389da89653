"""The schemas of the loop: input, context, state and output.

`Request`, `RunContext` and `Result` are public; each of their fields has a description. `LoopState`
is passed between nodes. Its values are plain JSON types, so any checkpointer can store them.

A thread of `langgraph dev` runs the graph repeatedly over one state, so a run must never read the
values of an earlier run. Therefore the fields of the request live for one step only
(`EphemeralValue`): if the state has them, the run is in its first step. Both retrievals copy them
to `request` and set `iteration` to 1; every other value is written before it is read. A run clears
`request` when it ends, so an input without fields is not mistaken for the previous request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langgraph.channels import EphemeralValue
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from ..stores.errors import InvalidField
from ..stores.fields import Namespace, RequestLanguage, RequestRating, TopicId, UserId
from ..stores.values import FIVE_STARS, RatingScale, plain, read_text, read_title
from .budget import Mode
from .errors import RequestError

Task = Literal["long", "short", "rating", "free"]
ColdStart = Literal["zero", "few", "known"]
StopReason = Literal["settled", "max_iterations", "deadline", "abstained", "error"]
Sides = Literal["both", "style", "preference"]
Update = dict[str, Any]


def _read_words(value: object, info: ValidationInfo) -> str | None:
    name = info.field_name or "text"
    words = read_title(value) if name == "title" else read_text(name, value)
    return words.strip() or None


def _read_number(value: object) -> object:
    """Return a number; pydantic would take True for 1, and b"4" for 4. NaN is no number."""
    if isinstance(value, bool | bytes) or (isinstance(value, float) and value != value):
        raise PydanticCustomError("number_type", "Expected a number")
    return plain(value)


_Words = Annotated[str | None, BeforeValidator(_read_words)]
_Number = BeforeValidator(_read_number)


class Request(BaseModel):
    """A request to write a text (the graph's input).

    Ids, rating and language are read as those of a text that is kept (`stores.fields`).
    """

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    user_id: UserId = Field(min_length=1, description="Whom to write for.")
    task: Task = Field(
        description="long: a text from its title; short: a title from its text; "
        "rating: 1 to 5 from title and text; free: whatever the instruction asks."
    )
    topic_id: TopicId | None = Field(
        None, description="What it is about, as the store names it; none: the nearest topics."
    )
    title: _Words = Field(None, description="The title (tasks long and rating).")
    text: _Words = Field(None, description="The text (tasks short and rating).")
    rating: RequestRating = Field(
        None,
        description="The user's own rating on the store's scale (1 to 5), where an app knows it.",
    )
    instruction: _Words = Field(None, description="What to write (task free).")
    language: RequestLanguage = Field(
        "en", description="Language of the draft, as a tag: en, pt-BR."
    )

    _scale: RatingScale = PrivateAttr(FIVE_STARS)

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings in its store; known where the request is answered."""
        return self._scale

    def on_scale(self, scale: RatingScale) -> Request:
        """Return the request for a store whose ratings are on a scale.

        Raises:
            RequestError: The request's rating is outside it.
        """
        if self.rating is not None and not scale.low <= self.rating <= scale.high:
            raise RequestError(
                f"rating: {self.rating:g} is outside {scale.low:g} to {scale.high:g}, the scale of "
                "this store: give it on that scale, or leave it out",
                field="rating",
            )
        if scale == self._scale:
            return self
        copy = self.model_copy()
        copy._scale = scale
        return copy

    @property
    def words(self) -> str:
        """The request's own words: all that is known about a user without history."""
        wanted = {
            "long": (self.title,),
            "short": (self.text,),
            "rating": (self.title, self.text),
            "free": (self.instruction, self.title, self.text),
        }[self.task]
        return "\n".join(part for part in wanted if part)


class RunContext(BaseModel):
    """Settings of one run (the graph's context).

    Dicts and lists are plain defaults, here and in `Result`: pydantic copies them for each object,
    and a `default_factory` would leave the schema, and so the form, without a default.
    """

    model_config = ConfigDict(extra="forbid")

    namespace: Namespace = Field("default", description="Tenant: nothing is read outside it.")
    k: Annotated[int | None, _Number] = Field(
        None,
        ge=1,
        le=32,
        description="Texts of evidence a trajectory brings back; none: by the budget.",
    )
    mode: Mode | None = Field(
        None,
        description="own_quoted: summaries of what others wrote, and the user's own texts word for "
        "word; summaries: summaries alone; quoted: others' texts on the topic word for word, in "
        "one call; none: by the budget.",
    )
    sides: Sides | None = Field(
        None,
        description="Whose evidence is used: both, style or preference; none: both, in the mode "
        "quoted preference.",
    )
    max_tokens: Annotated[int | None, _Number] = Field(
        None, ge=1, le=32_000, description="Tokens of the draft at most; none: by the budget."
    )
    drafts: Annotated[int, _Number] = Field(
        1,
        ge=1,
        le=16,
        description="Drafts of an iteration, in one batch, of which the best is kept; with more "
        "than one, a stream shows that one alone.",
    )
    max_iterations: Annotated[int, _Number] = Field(
        2, ge=1, le=10, description="Rounds of the loop at most."
    )
    deadline_s: Annotated[float, _Number] = Field(
        120.0, gt=0, allow_inf_nan=False, description="Seconds after which a run must end."
    )
    strategies: dict[str, str] = Field(
        {"style": "aligned", "preference": "aligned"},
        description="How each trajectory picks its authors.",
    )
    min_authors: Annotated[int | None, _Number] = Field(
        None,
        ge=1,
        le=32,
        description="Authors whose texts a preference needs at least, else that side abstains; one "
        "of them never writes more than one in so many pieces of its evidence; none: by the "
        "settings.",
    )
    adapters: dict[str, str] | None = Field(
        None,
        description="LoRA adapter of each role, such as {'style': 'style@3'}; a role that is left "
        "out runs on the base model; none at all: the promoted ones.",
    )
    adapter_fallback: bool = Field(
        False, description="Whether the base model may answer where an adapter can't be used."
    )
    seed: Annotated[int, _Number] = Field(
        0, ge=0, lt=2**63, description="Seed of everything that is drawn."
    )


class Evidence(BaseModel):
    """One retrieved text and why it was chosen."""

    text_id: str = Field(description="Content hash of the text.")
    user_id: str = Field(description="Who wrote it.")
    topic_id: str = Field(description="What it is about.")
    title: str = Field(description="Its title.")
    body: str = Field(description="The text itself.")
    rating: float | None = Field(None, description="Its rating (rating task only).")
    language: str = Field("en", description="Its language, as an ISO 639-1 code.")
    score: float = Field(description="What it was ranked by, higher is better.")
    strategy: str = Field(description="The strategy that took it.")
    reason: str = Field(description="Why it was taken, with the figures that decided.")


_PIECES = TypeAdapter(list[Evidence])


def read_evidence(pieces: Sequence[Mapping[str, Any]]) -> list[Evidence]:
    """Return the evidence in a state as objects; read in one call, which is quicker."""
    return _PIECES.validate_python(pieces)


class Result(BaseModel):
    """The result of a run (the graph's output)."""

    run_id: str = Field("", description="Names the run in the trace, for feedback on it.")
    text: str = Field("", description="The draft that was kept.")
    summaries: dict[str, str | None] = Field(
        {},
        description="What each reasoner wrote for that draft; null where it abstained.",
    )
    evidence: dict[str, list[Evidence]] = Field(
        {}, description="Other people's texts that each trajectory found."
    )
    shown: dict[str, int] = Field(
        {},
        description="How many of these texts each side's prompt held, the first ones; 0 where the "
        "side was too unsure, or read the user's own texts alone.",
    )
    own: list[Evidence] = Field([], description="The user's own texts that style-reason read.")
    cold_start: ColdStart = Field(
        "zero", description="How much is known: zero, few (1-3 own texts), known (4 or more)."
    )
    confidence: dict[str, float] = Field({}, description="How sure each retrieval is, 0 to 1.")
    iterations: int = Field(0, description="Rounds of the loop that were run.")
    stop_reason: StopReason | None = Field(None, description="Why the loop ended.")
    warnings: list[str] = Field([], description="What the caller should know.")
    models: dict[str, str] = Field({}, description="Model of each role.")
    adapters: dict[str, str] = Field(
        {}, description="What each role's last call ran on; `base` where it was not called."
    )
    timings: dict[str, float] = Field(
        {}, description="Seconds by node, summed over iterations, and total."
    )
    calls: int = Field(0, description="Calls of language models.")
    tokens_in: int = Field(
        0, description="Tokens of all prompts; estimated where a model does not report them."
    )
    tokens_out: int = Field(0, description="Tokens of all answers, likewise.")
    cut: dict[str, float] = Field(
        {},
        description="What did not fit the prompts: the share that was cut, 0 to 1, by part "
        "(request, draft, summaries, own, style, preference), the largest of all prompts.",
    )


class Kept(TypedDict):
    """The best draft so far, with its summaries and evidence."""

    text: str
    score: float
    iteration: int
    summaries: dict[str, str | None]
    evidence: dict[str, list[dict[str, Any]]]


class Failure(TypedDict):
    """Why a run with a draft ends early: a node failed permanently."""

    reason: StopReason
    says: str


class NodeLog(TypedDict):
    """What one node did in one iteration; `run` distinguishes the runs of one thread."""

    run: str
    began: float
    seconds: float
    warnings: NotRequired[list[str]]
    call: NotRequired[dict[str, Any]]
    other_calls: NotRequired[list[dict[str, Any]]]
    drafts: NotRequired[list[dict[str, Any]]]
    cut_share: NotRequired[float]
    cut: NotRequired[dict[str, float]]
    shown: NotRequired[int]
    confidence: NotRequired[float]
    evidence: NotRequired[list[dict[str, Any]]]
    hidden: NotRequired[list[str]]
    neighbours: NotRequired[list[dict[str, Any]]]
    pool_size: NotRequired[int]
    summary: NotRequired[str | None]
    draft: NotRequired[str]
    flaw: NotRequired[str]
    score: NotRequired[float]
    similarity: NotRequired[float | None]


def calls_of(entry: NodeLog) -> list[dict[str, Any]]:
    """Return the calls of a node in one iteration, that of the kept draft first."""
    return [entry["call"], *entry.get("other_calls", [])] if "call" in entry else []


def merge(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    """Merge by key: both trajectories write to one channel in the same step; None empties it."""
    return {} if new is None else {**(old or {}), **new}


def newest(old: Any, new: Any) -> Any:
    """Return the later value: both retrievals write the same one."""
    return new


def _fleeting() -> EphemeralValue[Any]:
    # guard=False: where both trajectories fail in one step, both error handlers write.
    return EphemeralValue(Any, guard=False)


class LoopState(TypedDict, total=False):
    """The state that the nodes share."""

    # The request, for one step; `text` is also a field of the result.
    user_id: Annotated[str, _fleeting()]
    task: Annotated[Task, _fleeting()]
    topic_id: Annotated[str | None, _fleeting()]
    title: Annotated[str | None, _fleeting()]
    text: Annotated[str | None, _fleeting()]
    rating: Annotated[float | None, _fleeting()]
    instruction: Annotated[str | None, _fleeting()]
    language: Annotated[str, _fleeting()]
    # Carried between nodes and iterations.
    request: Annotated[dict[str, Any], newest]
    run: Annotated[str, newest]
    iteration: Annotated[int, newest]
    chosen_adapters: Annotated[dict[str, str], newest]
    started: Annotated[float, newest]
    draft: Annotated[str, newest]
    previous: Annotated[dict[str, Any], newest]
    kept: Annotated[Kept, newest]
    log: Annotated[dict[str, NodeLog], merge]
    failure: Annotated[Failure, _fleeting()]
    # The result.
    run_id: Annotated[str, _fleeting()]
    summaries: Annotated[dict[str, str | None], merge]
    evidence: Annotated[dict[str, list[dict[str, Any]]], merge]
    confidence: Annotated[dict[str, float], merge]
    own: Annotated[list[dict[str, Any]], newest]
    cold_start: Annotated[str, newest]
    iterations: Annotated[int, _fleeting()]
    stop_reason: Annotated[StopReason | None, _fleeting()]
    warnings: Annotated[list[str], _fleeting()]
    models: Annotated[dict[str, str], _fleeting()]
    adapters: Annotated[dict[str, str], _fleeting()]
    timings: Annotated[dict[str, float], _fleeting()]
    calls: Annotated[int, _fleeting()]
    tokens_in: Annotated[int, _fleeting()]
    tokens_out: Annotated[int, _fleeting()]
    cut: Annotated[dict[str, float], _fleeting()]
    shown: Annotated[dict[str, int], _fleeting()]


class Ended(TypedDict, total=False):
    """What the edge behind check-stop reads: to read the whole state takes as long as a prompt."""

    stop_reason: Annotated[StopReason | None, _fleeting()]


_REQUEST_FIELDS = frozenset(Request.model_fields)
_ANY_REQUEST = Request(user_id="-", task="free")


def is_first_step(state: LoopState) -> bool:
    """Return whether a run is in its first step (its request is still in the state)."""
    return not state.get("request") or not state.keys().isdisjoint(_REQUEST_FIELDS)


def read_request(state: LoopState) -> Request:
    """Return the run's request.

    Raises:
        RequestError: A field is missing or wrong; names the field and what was expected.
    """
    if not is_first_step(state):
        # Validated in the first step: to do so in each node costs as much as a prompt.
        return _ANY_REQUEST.model_copy(update=state["request"])
    fields = {name: state[name] for name in Request.model_fields if name in state}  # type: ignore[literal-required]
    return validate_request(fields)


def validate_request(fields: Mapping[str, Any]) -> Request:
    """Validate the fields and return them as a request.

    Raises:
        RequestError: A field is missing or wrong, or the task lacks the text that it needs.
    """
    try:
        request = Request.model_validate(fields)
    except ValidationError as error:
        raise RequestError(_say(error), field=InvalidField.of(error).place) from None
    needs = {"long": "title", "short": "text", "rating": "text", "free": "instruction"}
    if not request.words:
        raise RequestError(
            f"the task {request.task!r} works from {needs[request.task]!r}, which is missing: "
            "add it to the input",
            field=needs[request.task],
        )
    return request


def _say(error: ValidationError) -> str:
    field = InvalidField.of(error)
    if field.kind.endswith("missing") or field.value is None:
        hint = {
            "user_id": "say whom to write for",
            "task": "one of long, short, rating, free",
        }.get(field.place, "add it to the input")
        return f"{field.place} is missing: {hint}"
    return field.with_value()
