"""The table of docs/faults.md from what the tests observed.

    python -m tests.support.fault_table RESULTS.xml docs/faults.md

RESULTS.xml is pytest's ``--junitxml``. Rows of tests that failed say so; a test that was skipped
has its reason in the table.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

BEGIN, END = "<!-- made by make faults: begin -->", "<!-- made by make faults: end -->"
_LONGEST = 420


def rows(results: Path) -> list[tuple[str, str]]:
    """(fault, observed result) in the order of the tests."""
    found = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        properties = {p.get("name"): p.get("value") or "" for p in case.iter("property")}
        name = case.get("name", "").removeprefix("test_").replace("_", " ")
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            found.append((properties.get("fault", name), "**the test failed**"))
        elif skipped is not None:
            found.append((name, f"not run here: {skipped.get('message')}"))
        elif "fault" in properties:
            found.append((properties["fault"], properties["observed"]))
    return found


def markdown(found: list[tuple[str, str]]) -> str:
    """The table."""
    lines = [f"| {_cell(fault)} | {_cell(seen)} |" for fault, seen in found]
    return "\n".join(["| fault | observed |", "|---|---|", *lines])


def _cell(text: str) -> str:
    # Numbers that differ from run to run would make a change of each `make faults`.
    text = re.sub(r"\b[0-9a-f]{16,64}\b", lambda match: match[0][:6] + "...", text)
    text = re.sub(r"process \d+ on \S+, since \S+,", "process PID on HOST, since TIME,", text)
    text = re.sub(r"/tmp\w{8}'", "/tmp...'", text).replace("\ufffd", "?")
    text = re.sub(r"\([\d.e+-]+ GB free\)", "(N GB free)", text)
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return text.replace("\n", " ").replace("|", "\\|")


def main(results: Path, page: Path) -> None:
    """Put the table between its two marks."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(rows(results))}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
