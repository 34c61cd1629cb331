"""The fault plan: which requests go wrong, how, how often, and what happens to their receipts."""

from __future__ import annotations

import random
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from notifier.events import NotifierError
from notifier.sandbox.answers import Action, Kind
from notifier.sandbox.people import Quirk


class InvalidFaults(NotifierError):
    """The fault plan is refused; the message names each rule and field."""


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class FaultRule(BaseModel):
    """One rule. All conditions must hold; a rule without conditions meets every request.

    path, recipient: regular expressions, searched in the URL path and the E.164 phone.
    probability: of meeting, from the seeded generator. count: meets at most so often.
    after, until: sandbox seconds since the plan was put.
    action: how the request is answered (answers.Kind); code, status, body, seconds are its details.
    receipts: what happens to the receipts of an accepted message; hold: sandbox seconds they are held back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Pattern | None = None
    recipient: Pattern | None = None
    probability: float = Field(default=1.0, ge=0, le=1)
    count: int | None = Field(default=None, ge=0)
    after: float = Field(default=0.0, ge=0)
    until: float | None = Field(default=None, ge=0)
    action: Kind | None = None
    code: int | None = None
    status: int | None = Field(default=None, ge=200, le=599)
    body: str = ""
    seconds: float = Field(default=0.0, ge=0)
    receipts: Quirk | None = None
    hold: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _does_something(self) -> FaultRule:
        if self.action is None and self.receipts is None:
            raise ValueError("a rule needs an action, or receipts, or both")
        if self.action == "refuse" and self.code is None:
            raise ValueError("refuse needs the provider's code")
        return self

    def as_action(self) -> Action | None:
        """The action with its details."""
        if self.action is None:
            return None
        return Action(self.action, self.code, self.status, self.body, self.seconds)


_RULES = TypeAdapter(tuple[FaultRule, ...])


def read_rules(raw: Any) -> tuple[FaultRule, ...]:
    """Rules from decoded JSON. Raises InvalidFaults with every fault at once."""
    try:
        return _RULES.validate_python(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        listed = "; ".join(f"/{'/'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise InvalidFaults(f"not a fault plan: {listed}") from None


class FaultPlan:
    """The rules in force. The first rule that meets decides the action; likewise for receipts, on its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rules: tuple[FaultRule, ...] = ()
        self._used: list[int] = []
        self._since = 0.0
        self._rng = random.Random(seed)  # noqa: S311  chance, not secrets

    def put(self, rules: tuple[FaultRule, ...], now: float) -> None:
        """Replace the whole plan; counts start anew, and so does chance."""
        self._rules, self._used, self._since = rules, [0] * len(rules), now
        self._rng = random.Random(self._seed)  # noqa: S311

    def meet(self, path: str, recipient: str, now: float) -> tuple[Action | None, FaultRule | None]:
        """What goes wrong with this request, and which rule bends its receipts. `now`: sandbox seconds."""
        action: Action | None = None
        receipts: FaultRule | None = None
        for index, rule in enumerate(self._rules):
            wanted = (rule.action and action is None) or (rule.receipts and receipts is None)
            if not wanted or not self._meets(index, rule, path, recipient, now):
                continue
            self._used[index] += 1
            action = action or rule.as_action()
            receipts = receipts or (rule if rule.receipts else None)
        return action, receipts

    def as_json(self) -> list[dict[str, Any]]:
        """The rules with how often each met."""
        return [
            {**rule.model_dump(exclude_defaults=True), "used": used}
            for rule, used in zip(self._rules, self._used, strict=True)
        ]

    def _meets(self, index: int, rule: FaultRule, path: str, recipient: str, now: float) -> bool:
        age = now - self._since
        return (
            (rule.count is None or self._used[index] < rule.count)
            and rule.after <= age
            and (rule.until is None or age < rule.until)
            and (rule.path is None or re.search(rule.path, path) is not None)
            and (rule.recipient is None or re.search(rule.recipient, recipient) is not None)
            and (rule.probability >= 1.0 or self._rng.random() < rule.probability)
        )
