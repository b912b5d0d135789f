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
    "mol": ("mole", "moles", "n \u00b5 \u03bc m k"),
    "Eq": ("equivalent", "equivalents", "m \u00b5 \u03bc"),
    "eV": ("electron volt", "electron volts", "m k M G T"),
    "Ah": ("amp hour", "amp hours", "m k"),
    "bar": ("bar", "bars", "m"),
}

_PREFIXES = {
    "f": "femto", "p": "pico", "n": "nano", "\u00b5": "micro", "\u03bc": "micro", "m": "milli", "c": "centi",
    "d": "deci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta",
}  # fmt: skip

UNITS: dict[str, tuple[str, str]] = {
    **{
        name: (one, many)
        for name, (one, many, _) in _PREFIXED.items()
        if name not in ("B", "b", "J", "A", "F", "H", "N", "bps", "Eq")
    },
    **{
        prefix + name: (_PREFIXES[prefix] + one, _PREFIXES[prefix] + many)
        for name, (one, many, prefixes) in _PREFIXED.items()
        for prefix in prefixes.split()
    },
    **{f"{short}iB": (f"{long}byte", f"{long}bytes") for short, long in (("K", "kibi"), ("M", "mebi"), ("G", "gibi"))},
    "k\u03a9": ("kilohm", "kilohms"),
    "M\u03a9": ("megohm", "megohms"),
    "TiB": ("tebibyte", "tebibytes"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "kbit": ("kilobit", "kilobits"),
    "Mbit": ("megabit", "megabits"),
    "Gbit": ("gigabit", "gigabits"),
    "t": ("tonne", "tonnes"),
    "ha": ("hectare", "hectares"),
    "ft": ("foot", "feet"),
    "sq ft": ("square foot", "square feet"),
    **{
        f"{short} {length}": (f"{said} {one}", f"{said} {many}")
        for short, said in (("sq", "square"), ("cu", "cubic"))
        for length, one, many in (
            ("m", "metre", "metres"),
            ("km", "kilometre", "kilometres"),
            ("mi", "mile", "miles"),
            ("in", "inch", "inches"),
            ("yd", "yard", "yards"),
            ("cm", "centimetre", "centimetres"),
        )
    },
    "cu ft": ("cubic foot", "cubic feet"),
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
    "pkg": ("package", "packages"),
    "pkgs": ("package", "packages"),
    "pt": ("pint", "pints"),
    "qt": ("quart", "quarts"),
    "gal": ("gallon", "gallons"),
    "mcg": ("microgram", "micrograms"),
    "IU": ("international unit", "international units"),
    "mmHg": ("millimetre of mercury", "millimetres of mercury"),
    "cmH2O": ("centimetre of water", "centimetres of water"),
    "bpm": ("beat per minute", "beats per minute"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "atm": ("atmosphere", "atmospheres"),
    "ppm": ("part per million", "parts per million"),
    "ppb": ("part per billion", "parts per billion"),
    "kt": ("knot", "knots"),
    "kts": ("knot", "knots"),
    "hp": ("horsepower", "horsepower"),
    "dpi": ("dot per inch", "dots per inch"),
    "lx": ("lux", "lux"),
    "lm": ("lumen", "lumens"),
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

LENGTHS = {name: words[0] for name, words in UNITS.items() if words[0].endswith("metre")} | {
    "in": "inch", "ft": "foot", "yd": "yard", "mi": "mile",
}  # fmt: skip
"""Whose second and third powers are areas and volumes -> one."""

MEASURED = {
    "mass": ("gram", "ounce", "pound", "tonne"),
    "length": ("metre", "foot", "inch", "yard", "mile"),
    "volume": ("litre", "spoon", "pint", "quart", "gallon", "fluid ounce", "cup"),
    "temperature": ("celsius", "fahrenheit", "degree"),
    "energy": ("calorie", "joule"),
}
"""What is measured -> how the names of its units end."""
