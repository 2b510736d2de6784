"""The words in which every picture of a trace says the same."""

from __future__ import annotations

from collections.abc import Iterator

from shared.trace.flow import Step, Trace

SHORT = 8
"""Characters of a pseudonym that tell accounts apart in a picture; JSON has all of them."""


def brl(centavos: int) -> str:
    """Return an amount in BRL.

    >>> brl(123456)
    'R$ 1,234.56'
    """
    return f"R$ {centavos // 100:,}.{centavos % 100:02}"


def minutes(value: float) -> str:
    """Return a number of minutes.

    >>> minutes(0.5), minutes(61.2)
    ('0.5 min', '61 min')
    """
    return f"{value:.1f} min" if value < 10 and round(value, 1) % 1 else f"{value:.0f} min"


def account(pseudonym: str) -> str:
    """Return the first characters of an account's pseudonym."""
    return pseudonym[:SHORT]


def times(trace: Trace, step: Step) -> str:
    """Return the time since the previous hop and, from the second hop on, since the root."""
    hop, root = trace.minutes(step)
    if step.parent is None:
        return ""
    since = f"+{minutes(hop)}"
    return since if step.member.layer == 2 else f"{since}, {minutes(root)} after the root"


def judged(step: Step) -> str:
    """Return the decision and the verdict."""
    return f"{step.pix.decision or 'no decision'}, {step.pix.verdict or 'no verdict'}"


def money(trace: Trace, step: Step) -> Iterator[str]:
    """Yield the facts about the root's money in a step."""
    if step.pix.returned:
        yield f"{brl(step.pix.returned)} returned"
    if step.parent is not None:
        yield f"{trace.share(step):.0%} of the root"
    if step.member.returns:
        yield "back to an account on its path: not followed"
    elif step.share_passed is not None and not last_layer(trace, step):
        yield f"{step.share_passed:.0%} passed on"
    others = [source for source in step.sources if source.end_to_end_id != step.parent]
    if others:
        yield f"{brl(sum(source.amount for source in others))} by other ways"


def last_layer(trace: Trace, step: Step) -> bool:
    """Return whether a step is in the last layer that was looked at."""
    return step.member.layer == trace.limits.hops_max


def title(trace: Trace) -> str:
    """Return the extent of a trace."""
    layers = max(step.member.layer for step in trace.steps)
    left = f", {trace.left_out:,} more left out" if trace.left_out else ""
    return f"{brl(trace.root.pix.net)} in {len(trace.steps)} Pix over {layers} hop{'s'[: layers > 1]}{left}"


def limits(trace: Trace) -> str:
    """Return the limits of a trace."""
    found = trace.limits
    hours = found.hop_window.total_seconds() / 3600
    return (
        f"at most {found.hops_max} hops and {found.transactions_max} Pix, each of {brl(found.amount_min)} or more "
        f"and within {hours:g} h of the previous one"
    )
