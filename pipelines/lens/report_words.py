"""How the report of a lens puts numbers into words: rounding to what an error means, times, facts. Nothing is drawn or laid out here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EM DASH}"
LARGEST_FIXED = 1e7  # from here on a power of ten is written apart
MOST_DECIMALS = 7
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A rounded value as text: ``minus`` is empty where the errors are symmetric, both are where there are none; ``power`` of ten."""

    value: str
    plus: str = ""
    minus: str = ""
    power: str = ""


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals and a true minus sign; zero has none."""
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def plain(value: float, digits: int = 5) -> str:
    """A number without error, to ``digits`` significant digits; a dash where there is none."""
    if not math.isfinite(value):
        return DASH if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    if value != 0 and not 1e-4 <= abs(value) < LARGEST_FIXED:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} \N{MULTIPLICATION SIGN} 10".replace("-", MINUS) + str(int(exponent)).translate(SUPERSCRIPT)
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    return fixed(value, max(places, 0)) if value else "0"


def decimals_of(*errors: float) -> int | None:
    """Decimals at which the smallest positive error keeps two significant digits; None when no error is positive and finite."""
    sizes = [abs(error) for error in errors if math.isfinite(error) and error != 0]
    if not sizes:
        return None
    decimals = 1 - math.floor(math.log10(min(sizes)))
    # 0.0996 rounds to 0.10: with one decimal fewer it still has its two digits.
    return decimals - 1 if round(min(sizes), decimals) >= 10.0 ** (2 - decimals) else decimals


def measured(value: float, minus: float, plus: float) -> Measured:
    """Value and errors, rounded to two significant digits of the smaller error.

    Parameters
    ----------
    value : any number.
    minus, plus : sizes of the errors below and above it, both positive.
    """
    decimals = decimals_of(minus, plus)
    if not math.isfinite(value) or decimals is None:
        return Measured(value=plain(value))
    power = ""
    if decimals > MOST_DECIMALS or abs(value) >= LARGEST_FIXED:
        exponent = math.floor(math.log10(max(abs(value), abs(minus), abs(plus))))
        value, minus, plus, decimals = (*(x / 10.0**exponent for x in (value, minus, plus)), decimals + exponent)
        power = str(exponent).replace("-", MINUS)
    above, below = (fixed(error, decimals) if math.isfinite(error) else DASH for error in (plus, minus))
    return Measured(value=fixed(value, decimals), plus=above, minus="" if above == below else below, power=power)


def spoken(value: Any) -> str:
    """A fact of any plain kind as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, Real):
        return plain(float(value)) if not math.isfinite(value) else f"{float(value):,.6g}".replace("-", MINUS)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {spoken(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(spoken(item) for item in value)
    return DASH if value is None else str(value)


def size(n_bytes: float) -> str:
    """Bytes in words: "1.83 GB", "412 MB"; a dash where there is none."""
    if not math.isfinite(n_bytes) or n_bytes < 0:
        return DASH
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def sigmas(value: float) -> str:
    """A step in errors: "+0.3σ"; a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    sign = "" if abs(value) < 0.05 else "+" if value > 0 else MINUS
    return f"{sign}{abs(value):.1f}\N{GREEK SMALL LETTER SIGMA}"
