"""Fails where code that runs on any x86-64 processor has instructions or symbols of a later one.

    check_instructions.py objdump nm libgecko.a

Only the kernels' object files may use AVX registers, and those of AMX and VNNI must hold their
instructions. None of them may define a weak symbol, such as an inline function: the linker could
keep that copy for everyone.
"""

import re
import subprocess
import sys

WIDE_KERNELS = re.compile(r"^(avx\w+|amx_int8|amx_bfloat16)\.cc\.o$")
AMX = ("tileloaddt1", "tileloadd ", "tilestored", "ldtilecfg", "tilerelease")
NEEDED = {
    "amx_int8.cc.o": ("tdpbssd", *AMX),
    "amx_bfloat16.cc.o": ("tdpbf16ps", *AMX),
    "avx512vnni.cc.o": ("vpdpbusd",),
}
WIDE = re.compile(r"\t(v[a-z0-9]+|tile\w+|tdp\w+|ldtilecfg)\s|%[yz]mm")


def members(output: str) -> dict[str, list[str]]:
    """The lines of each object file in the archive."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in output.splitlines():
        name = re.match(r"^(\S+\.o):", line)
        if name:
            lines = found.setdefault(name[1], [])
        lines.append(line)
    return found


def main(objdump: str, nm: str, archive: str) -> int:
    """The number of object files at fault."""
    code = members(run(objdump, "-d", "--no-show-raw-insn", archive))
    symbols = members(run(nm, archive))
    faults, wide = 0, 0
    for name, lines in code.items():
        first = next((line for line in lines if WIDE.search(line)), None)
        if WIDE_KERNELS.match(name):
            wide += first is not None
            weak = [line for line in symbols[name] if re.search(r" [WVu] ", line)]
            if weak:
                print(f"{name} has symbols that others could be given: {weak[:3]}")
                faults += 1
        elif first is not None:
            print(f"{name} needs a later processor: {first}")
            faults += 1
    for name, instructions in NEEDED.items():
        missing = [one for one in instructions if not any(one in line for line in code[name])]
        if missing:
            print(f"{name} has none of {missing}")
            faults += 1
    print(f"{len(code)} object files, {wide} of them for later processors, {faults} faults")
    return faults


def run(*command: str) -> str:
    """What it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
