"""Edges that are broken on purpose, and the rules each breaks.

    make = FAULTS["loses"].break_edge(LocalPair)
    with pytest.raises(EdgeContractError, match="every item that was accepted arrives"):
        check_edge(make)

What watches over edges is tested with them: a check that no fault fails shows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.testing.edges import receiver_faults as receivers
from engine.testing.edges import sender_faults as senders
from engine.testing.edges.passing import PassingPair, PassingReceiver, PassingSender

if TYPE_CHECKING:
    from engine.testing.edges.pairs import EdgePair
    from engine.testing.edges.traffic import MakeEdge


class Fault(NamedTuple):
    """One way to break the contract.

    Attributes:
        breaks: names of rules that find it; more may.
        sender, receiver: the ends that have it.
        mortal: whether it shows only on an edge whose ends can die, or refuse what is too large.
    """

    breaks: tuple[str, ...]
    sender: type[PassingSender] = PassingSender
    receiver: type[PassingReceiver] = PassingReceiver
    mortal: bool = False

    def break_edge(self, make_edge: MakeEdge) -> MakeEdge:
        """What makes such edges, otherwise like those of `make_edge`."""

        def make(*args: Any, **options: Any) -> EdgePair:
            return PassingPair(make_edge(*args, **options), self.sender, self.receiver)

        return make


FAULTS: dict[str, Fault] = {
    "loses": Fault(("lossless", "failure_with_a_queue"), senders.Loses),
    "duplicates": Fault(("no_duplicates",), senders.Duplicates),
    "reorders": Fault(("order",), senders.Reorders),
    "drops empty payloads": Fault(("payloads",), senders.DropsEmpty),
    "cuts large payloads": Fault(("payloads",), senders.CutsLarge),
    "thaws arrays": Fault(("payloads",), receiver=receivers.ThawsArrays),
    "strips metadata": Fault(("headers",), senders.StripsMetadata),
    "splits groups": Fault(("groups",), senders.SplitsGroups),
    "refuses what can never cross": Fault(("too_large",), senders.RefusesTooLarge, mortal=True),
    "says no edge": Fault(("too_large",), senders.SaysNoEdge, mortal=True),
    "forgets reserved memory": Fault(("reserved_memory",), senders.ForgetsReserved),
    "hoards": Fault(("bounds",), senders.Hoards),
    "withholds a credit": Fault(("bounds",), senders.Withholds),
    "issues credits": Fault(("law",), receiver=receivers.IssuesCredits),
    "releases one of many": Fault(("law", "release_in_any_order"), receiver=receivers.ReleasesOne),
    "releases anything": Fault(("over_release",), receiver=receivers.ReleasesAnything),
    "returns credits at receive": Fault(
        ("held_until_release",), receiver=receivers.ReturnsAtReceive
    ),
    "forgets on_credit": Fault(("refusal_answered", "wakes"), senders.ForgetsOnCredit),
    "tells twice": Fault(("refusal_answered",), senders.TellsTwice),
    "tells unasked": Fault(("no_call_unasked",), senders.TellsUnasked),
    "tells too early": Fault(("callbacks_only_schedule",), senders.TellsTooEarly),
    "runs the consumer in on_readable": Fault(
        ("callbacks_only_schedule",), receiver=receivers.EatsInCallback
    ),
    "rings inside a turn": Fault(("rings_outside_turns",), receiver=receivers.RingsInside),
    "sleeps through": Fault(("wakes",), receiver=receivers.SleepsThrough),
    "discards credits": Fault(("discard",), receiver=receivers.DiscardsCredits),
    "discards all": Fault(("discard",), receiver=receivers.DiscardsAll),
    "discards the end": Fault(("end_outlasts_discarding",), receiver=receivers.DiscardsEnd),
    "counts nothing": Fault(("statistics", "law"), senders.CountsNothing),
    "counts in place": Fault(("statistics",), senders.CountsInPlace),
    "drops the end": Fault(("end_after_all",), senders.NeverEnds),
    "ends before the last item": Fault(("end_after_all",), senders.EndsEarly, receivers.ShowsEarly),
    "ends for a credit": Fault(("end_without_credit",), senders.EndsForACredit),
    "takes the end for a death": Fault(
        ("end_then_gone",), receiver=receivers.TakesEndForDeath, mortal=True
    ),
    "takes a death for the end": Fault(
        ("producer_dies",), receiver=receivers.TakesDeathForEnd, mortal=True
    ),
    "takes a failure for the end": Fault(("failure",), senders.HidesFailure),
    "fails before the last item": Fault(
        ("failure", "twice_is_once"), senders.FailsAtOnce, receivers.ShowsEarly
    ),
    "forgets items of the gone": Fault(("failure",), receiver=receivers.ForgetsItemsOfTheGone),
    "delivers after close": Fault(("close",), receiver=receivers.DeliversAfterClose),
    "blocks when nobody reads": Fault(("closed_is_no_obstacle", "close"), senders.BlocksUnread),
    "blocks when its reader has died": Fault(("consumer_dies",), senders.BlocksUnread, mortal=True),
    "closes once": Fault(("twice_is_once",), receiver=receivers.ClosesOnce),
    "finishes once": Fault(("twice_is_once",), senders.FinishesOnce),
    "releases while open only": Fault(
        ("release_after_close",), receiver=receivers.ReleasesOpenOnly
    ),
    "raises behind the end": Fault(("send_after_end",), senders.RaisesBehindEnd),
    "gives up when cancelled": Fault(
        ("cancelled_wait",), senders.GivesUpWhenCancelled, mortal=True
    ),
}
