#!/usr/bin/env python3
"""Writes src/model/unicode_table.h: the general categories of all code points as runs.

    pip install unicodedata2==16.0.0
    python3 tests/oracle/unicode_tables.py > src/model/unicode_table.h

Unicode 16.0 is what current tokenizer libraries carry; Python's own unicodedata lags behind by its release, hence
the pinned package. Categories are grouped as the pre-tokenisers need them.
"""
import sys

import unicodedata2

VERSION = "16.0.0"
SPACE = 1 << 11
GROUPS = ["C", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "P", "S", "Z"]


def group(code):
    category = unicodedata2.category(chr(code))
    return GROUPS.index(category if category[0] == "L" else category[0])


def runs():
    """(first code point, group) wherever the group changes."""
    last = None
    for code in range(0x110000):
        this = group(code)
        if this != last:
            yield code, this
            last = this


def mask(code):
    """The mask unicode_class gives: 1 << group, and SPACE for white space."""
    return 1 << group(code) | (SPACE if code in (9, 10, 11, 12, 13, 32) else 0)


def put(name, kind, items):
    print("static const %s %s = {" % (kind, name))
    line = ""
    for item in items:
        if len(line) + len(item) > 117:
            print(line)
            line = ""
        line += item + ","
    print(line)
    print("};")


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit("unicode_tables.py: needs Unicode %s, found %s" % (VERSION, unicodedata2.unidata_version))
    print("/* unicode_table.h - general categories of Unicode %s as runs. Written by tests/oracle/unicode_tables.py;" % VERSION)
    print(" * do not edit. An entry is first code point << 8 | group; groups: %s. */" % " ".join(
        "%d %s" % pair for pair in enumerate(GROUPS)))
    print("/* clang-format off */")
    put("unicode_ascii[128]", "uint16_t", ("0x%x" % mask(code) for code in range(128)))
    put("unicode_runs[]", "uint32_t", ("0x%x%02x" % run for run in runs()))
    print("/* clang-format on */")


if __name__ == "__main__":
    main()
