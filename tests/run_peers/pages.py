"""What the table has and the pages for who moves say: each difference stands on its page, each weakness in a test."""

import re

from tests import site

from .compare import FACETS
from .scenario import FOREMAN
from .table import CASES

NUMBER = re.compile(r"W\d+")
# The weaknesses of the drivers, which each have to be named in a test.
OF_DRIVERS = [f"W{number}" for some in (range(11, 16), range(19, 34), range(37, 45)) for number in some]


def page(kind):
    """The page for who has a client of this kind."""
    return "doc/moving-from-foreman_dlm_updater.md" if kind == FOREMAN else "doc/moving-from-dlm_engine_updater.md"


def reasons():
    """(why, kind) of all differences: numbers of weaknesses, or a sentence."""
    return {(entry.why, kind) for case in CASES for kind in case.kinds for facet in (*FACETS, "asked")
            if (entry := case.difference(facet, kind))}


def told(text):
    """The weaknesses that a page owns up to: by a row of their own, or in brackets."""
    return set(re.findall(r"^\| (W\d+) \|", text, re.MULTILINE)) | set(re.findall(r"\[(W\d+)\]", text))


def missing(texts):
    """What the table has and a page has not. `texts` has the pages by name."""
    for why, kind in sorted(reasons()):
        text = " ".join(texts[page(kind)].lower().split())
        numbers = NUMBER.findall(why)
        lacks = [number for number in numbers if number not in told(texts[page(kind)])] if numbers else [why] * (why.lower() not in text)
        yield from (f"{page(kind)} does not say {lack}" for lack in lacks)


def tested():
    """The weaknesses that tests name: functions and doc comments of Rust, whatever Python says of them, and the table."""
    numbers = {number for why, _ in reasons() for number in NUMBER.findall(why)}
    for path in (*(site.TOP / "src").rglob("*.rs"), *(site.TOP / "tests").rglob("*.rs")):
        for name in re.findall(r"\bfn ((?:w\d+_)+)", path.read_text()):
            numbers.update(name.upper().strip("_").split("_"))
    for path in (site.TOP / "tests").rglob("*.py"):
        if path.parent.name != "run_peers":
            numbers.update(NUMBER.findall(path.read_text()), (f"W{found}" for found in re.findall(r"\bdef w(\d+)_", path.read_text())))
    return numbers


def faults():
    """A line each."""
    texts = {name: (site.TOP / name).read_text() for name in map(page, "MF")}
    untested = sorted((set(OF_DRIVERS) - tested()), key=lambda number: int(number[1:]))
    return [*dict.fromkeys(missing(texts)), *(f"no test names {number}" for number in untested)]
