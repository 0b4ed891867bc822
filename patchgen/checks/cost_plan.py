"""What is measured of a kernel change, in which states, and what it may cost: an assignment's `cost.toml` as types."""

from __future__ import annotations

from pydantic import Field, model_validator

from patchgen import data
from patchgen.assignment import COST, Assignment
from patchgen.data import Model
from patchgen.errors import UsageError

_FAULTS = 2048


class Group(Model):
    """Kinds that belong together.

    Attributes:
        title: for people, of one of them.
        chart: the chart that shows them.
    """

    title: str
    chart: str


class Kind(Model):
    """Something whose cost is measured.

    Attributes:
        name: what the guest's program calls it.
        title: for people.
        group: its group.
        count: how often it is measured.
    """

    name: str
    title: str
    group: str
    count: int = Field(default=_FAULTS, gt=0)


class State(Model):
    """What the kernel is, and what it has to do while the costs are measured.

    Attributes:
        name: short.
        title: for people.
        prepare: the guest's commands that lead to it.
    """

    name: str
    title: str
    prepare: tuple[str, ...] = ()


VANILLA = State(name="vanilla", title="vanilla")


class Bar(Model):
    """How many instructions more than the vanilla kernel's something may cost in some states.

    Attributes:
        states: which.
        what: a group of kinds, or the name of one.
        limit: instructions.
        elsewhere: the limit on another base, by its name, where that is another.
    """

    states: tuple[str, ...]
    what: str
    limit: int
    elsewhere: dict[str, int] = Field(default_factory=dict)


class With(Model):
    """Something of which there may be many.

    Attributes:
        what: for people.
        states: in which this is measured.
        before: a command that makes {more} of it, for all states.
        inside: a command that makes {size} of it, once a state is entered.
        arguments: words for the program that make {size} of it.
    """

    what: str
    states: tuple[str, ...] = ()
    before: str = ""
    inside: str = ""
    arguments: str = ""


class Growth(Model):
    """How the costs may grow.

    Attributes:
        limit: instructions more with the most of something than with the least, beyond what vanilla's cost more.
        kinds: what is measured.
        sizes: how many there are of something.
        with_: of what.
    """

    limit: int
    kinds: tuple[str, ...]
    sizes: tuple[int, ...] = Field(min_length=2)
    with_: tuple[With, ...] = Field(alias="with")


class Memory(Model):
    """What something takes from the kernel's allocator.

    Attributes:
        what: for people.
        prepare: commands before that.
        command: what makes them.
        count: how many it makes.
    """

    what: str
    prepare: tuple[str, ...] = ()
    command: str
    count: int = Field(gt=0)


class Instead(Model):
    """What the kernel has of its own for the same purpose.

    Attributes:
        config: the kernel configuration that has it.
        groups: of the kinds that are measured.
        off: what the state is called in which none of it is used.
        state: the others, each entered from the one before.
    """

    config: str
    groups: tuple[str, ...]
    off: str
    state: tuple[State, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """All states, the one without any of it first."""
        return (State(name="off", title=self.off), *self.state)


class Plan(Model):
    """All of it.

    Attributes:
        program: the guest's program that measures.
        reset: the command that takes back what a state has set up; "" for none.
        shown: the two states that charts show.
        groups: of the kinds, by name; the first is the headline.
        kind: what is measured.
        state: in which states of the changed kernel.
        bar: what it may cost.
        growth: how that may grow; None if it is not looked at.
        memory: what is looked at.
        instead: what to compare with; None for nothing.
    """

    program: str
    reset: str = ""
    shown: tuple[str, str]
    groups: dict[str, Group] = Field(min_length=1)
    kind: tuple[Kind, ...] = Field(min_length=1)
    state: tuple[State, ...] = Field(min_length=1)
    bar: tuple[Bar, ...] = ()
    growth: Growth | None = None
    memory: tuple[Memory, ...] = ()
    instead: Instead | None = None

    @property
    def headline(self) -> str:
        """The name of the group that is spoken of first."""
        return next(iter(self.groups))

    @property
    def scaled(self) -> tuple[str, ...]:
        """The states in which it is looked at how costs grow: the vanilla kernel, and what charts show."""
        return (VANILLA.name, *self.shown)

    @property
    def instead_kinds(self) -> tuple[Kind, ...]:
        """The kinds that are measured of what the kernel has of its own."""
        return tuple(kind for kind in self.kind if self.instead and kind.group in self.instead.groups)

    def title(self, state: str) -> str:
        """Return what a state is called for people."""
        return next(one.title for one in (VANILLA, *self.state) if one.name == state)

    def kinds(self, what: str) -> tuple[Kind, ...]:
        """Return the kinds of a group, or of a name."""
        return tuple(kind for kind in self.kind if what in (kind.group, kind.name))

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: dict[str, object]) -> dict[str, object]:
        """What grows does so in the vanilla kernel and in what charts show, unless it says otherwise."""
        growth = given.get("growth")
        if isinstance(growth, dict):
            filled = [{"states": (VANILLA.name, *given.get("shown", ())), **one} for one in growth.get("with", ())]  # type: ignore[misc]
            given = {**given, "growth": {**growth, "with": filled}}
        return given

    @model_validator(mode="after")
    def _names_are_known(self) -> Plan:
        states, kinds = {state.name for state in self.state}, {kind.name for kind in self.kind}
        named = [("state", one, states) for one in self.shown]
        named += [("group", kind.group, set(self.groups)) for kind in self.kind]
        for bar in self.bar:
            named += [("state", one, states) for one in bar.states]
            named += [("group or kind", bar.what, kinds | set(self.groups))]
        for one in self.growth.with_ if self.growth else ():
            named += [("state", name, {VANILLA.name, *self.shown}) for name in one.states]
        for name in self.growth.kinds if self.growth else ():
            named += [("kind", name, kinds)]
        for what, name, known in named:
            if name not in known:
                raise ValueError(f"there is no {what} {name}; known: {', '.join(sorted(known))}")
        return self


def load(assignment: Assignment, base: str = "") -> Plan:
    """Read what is measured.

    Args:
        assignment: whose `cost.toml` it is.
        base: name of the base whose limits these are; "" for the one that submissions are made on.

    Raises:
        UsageError: the assignment measures nothing, or its data is wrong; says where.
    """
    if not assignment.has(COST):
        raise UsageError(f"the assignment {assignment.name} measures no costs", hint=f"it has no {COST}")
    plan = data.load(assignment.directory / COST, Plan, UsageError)
    bars = (bar.model_copy(update={"limit": bar.elsewhere.get(base, bar.limit)}) for bar in plan.bar)
    return plan.model_copy(update={"bar": tuple(bars)})
