"""Whether the clocks agree: schedules, expiries and the order of writes go by them."""

from __future__ import annotations

from app.domain.diagnosis.findings import Finding, ok, warning

#: By so much clocks may differ, seconds.
TOLERANCE = 2.0


def judge_clock(theirs: float, before: float, after: float, *, precision: float = 0.0) -> Finding:
    """Judge the clock of a server.

    Args:
        theirs: its time, seconds since 1970.
        before: ours when it was asked.
        after: ours when it had answered; what it says is from somewhere between the two.
        precision: seconds by which its time is cut off.
    """
    offset = 0.0
    if theirs + precision < before:
        offset = theirs + precision - before
    elif theirs > after:
        offset = theirs - after
    if abs(offset) > TOLERANCE:
        way = "ahead of" if offset > 0 else "behind"
        return warning(f"{abs(offset):.1f} s {way} this machine", "let both follow a time server (NTP)")
    return ok("agrees with this machine" if not offset else f"within {abs(offset):.1f} s of this machine")
