"""What units are called."""

from __future__ import annotations

_PREFIXED = {
    "m": ("metre", "metres", "f p n \u00b5 \u03bc m c d k"),
    "g": ("gram", "grams", "n \u00b5 \u03bc m k"),
    "l": ("litre", "litres", "\u00b5 \u03bc m c d h"),
    "L": ("litre", "litres", "\u00b5 \u03bc m c d h"),
    "s": ("second", "seconds", "n \u00b5 \u03bc m"),
    "W": ("watt", "watts", "m k M G T"),
    "Wh": ("watt hour", "watt hours", "m k M G T"),
    "V": ("volt", "volts", "m k"),
    "Hz": ("hertz", "hertz", "k M G T"),
    "J": ("joule", "joules", "k M G"),
    "Pa": ("pascal", "pascals", "h k M G"),
    "B": ("byte", "bytes", "k K M G T P"),
    "b": ("bit", "bits", "k M G T"),
    "\u03a9": ("ohm", "ohms", "\u00b5 \u03bc m k M G"),
    "A": ("amp", "amps", "n \u00b5 \u03bc m k"),
    "F": ("farad", "farads", "p n \u00b5 \u03bc m"),
    "H": ("henry", "henrys", "n \u00b5 \u03bc m"),
    "N": ("newton", "newtons", "m k M"),
    "cal": ("calorie", "calories", "k"),
    "bps": ("bit per second", "bits per second", "k M G T"),
    "m\u00b2": ("square metre", "square metres", ""),
    "m\u00b3": ("cubic metre", "cubic metres", ""),
}

_PREFIXES = {
    "f": "femto", "p": "pico", "n": "nano", "\u00b5": "micro", "\u03bc": "micro", "m": "milli", "c": "centi",
    "d": "deci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta",
}  # fmt: skip

UNITS: dict[str, tuple[str, str]] = {
    **{
        name: (one, many)
        for name, (one, many, _) in _PREFIXED.items()
        if name not in ("B", "b", "J", "A", "F", "H", "N", "bps")
    },
    **{
        prefix + name: (_PREFIXES[prefix] + one, _PREFIXES[prefix] + many)
        for name, (one, many, prefixes) in _PREFIXED.items()
        for prefix in prefixes.split()
    },
    **{
        f"{short}{power}": (f"{said} {long}metre", f"{said} {long}metres")
        for short, long in (("mm", "milli"), ("cm", "centi"), ("km", "kilo"))
        for power, said in (("\u00b2", "square"), ("\u00b3", "cubic"))
    },
    **{f"{short}iB": (f"{long}byte", f"{long}bytes") for short, long in (("K", "kibi"), ("M", "mebi"), ("G", "gibi"))},
    "k\u03a9": ("kilohm", "kilohms"),
    "M\u03a9": ("megohm", "megohms"),
    "TiB": ("tebibyte", "tebibytes"),
    "km/h": ("kilometre per hour", "kilometres per hour"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "m/s": ("metre per second", "metres per second"),
    "mph": ("mile per hour", "miles per hour"),
    "MB/s": ("megabyte per second", "megabytes per second"),
    "GB/s": ("gigabyte per second", "gigabytes per second"),
    "Mbit/s": ("megabit per second", "megabits per second"),
    "Gbit/s": ("gigabit per second", "gigabits per second"),
    "t": ("tonne", "tonnes"),
    "ha": ("hectare", "hectares"),
    "ft": ("foot", "feet"),
    "sq ft": ("square foot", "square feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "tsp": ("teaspoon", "teaspoons"),
    "tbsp": ("tablespoon", "tablespoons"),
    "Tbsp": ("tablespoon", "tablespoons"),
    "Tsp": ("teaspoon", "teaspoons"),
    "fl oz": ("fluid ounce", "fluid ounces"),
    "pt": ("pint", "pints"),
    "qt": ("quart", "quarts"),
    "gal": ("gallon", "gallons"),
    "cc": ("cubic centimetre", "cubic centimetres"),
    "yr": ("year", "years"),
    "yrs": ("year", "years"),
    "wk": ("week", "weeks"),
    "wks": ("week", "weeks"),
    "mos": ("month", "months"),
    "deg": ("degree", "degrees"),
    "mpg": ("mile per gallon", "miles per gallon"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "dB": ("decibel", "decibels"),
    "rpm": ("turn per minute", "turns per minute"),
    "fps": ("frame per second", "frames per second"),
    "px": ("pixel", "pixels"),
    "\u00b0C": ("degree celsius", "degrees celsius"),
    "\u00b0F": ("degree fahrenheit", "degrees fahrenheit"),
    "\u00b0": ("degree", "degrees"),
    "%": ("percent", "percent"),
    "\u2030": ("per mille", "per mille"),
    "\u2031": ("per ten thousand", "per ten thousand"),
    "\u00c5": ("angstrom", "angstroms"),
    "\u00a2": ("cent", "cents"),
}
"""Unit behind a number -> one, many."""
