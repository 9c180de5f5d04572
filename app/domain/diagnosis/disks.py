"""Whether there is room on a disk."""

from __future__ import annotations

from app.domain.diagnosis.findings import Finding, ok, problem, size, warning

#: What should be free beyond the reserve: this part of a disk, but no more than so many bytes.
_PART, _MOST = 0.1, 10 * 1024**3


def judge_disk(free: int, total: int, reserve: int, *, setting: str) -> Finding:
    """Judge the room on a disk, bytes.

    Args:
        free: what may still be used.
        total: its size.
        reserve: what is to stay free.
        setting: names the place.
    """
    told = f"{size(free)} of {size(total)} free"
    if free <= reserve:
        return problem(f"{told}: {size(reserve)} are to stay free", f"make room at {setting}: nothing more is taken")
    if free - reserve < min(_PART * total, _MOST):
        return warning(told, f"make room at {setting}")
    return ok(told)
