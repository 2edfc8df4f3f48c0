#!/usr/bin/env python3
"""Writes fixtures/golden/pretokenize.jsonl: how the published splitting patterns cut texts into words.

    pip install tokenizers==0.23.3
    python3 tests/oracle/pretokenize_golden.py > fixtures/golden/pretokenize.jsonl

One line per pre-tokenizer and text: {"pre", "text", "lengths"}, the lengths of the words in bytes. The patterns are those
of the families' tokenizer.json files (Digits and Punctuation written as the patterns they stand for).
"""
import json
import random
import sys

import tokenizers
from tokenizers import Regex, pre_tokenizers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SLASH = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES


def cased(suffix):
    prefix = r"[^\r\n\p{L}\p{N}]?"
    return f"{prefix}{UPPER}*{LOWER}+{suffix}|{prefix}{UPPER}+{LOWER}*{suffix}"


def ranges(*pairs):
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in pairs)


CASED_LETTERS = "[A-Za-z" + ranges(
    (0xB5, 0xB5), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x1BA), (0x1BC, 0x1BF), (0x1C4, 0x293), (0x295, 0x2AF),
    (0x370, 0x373), (0x376, 0x377), (0x37B, 0x37D), (0x37F, 0x37F), (0x386, 0x386), (0x388, 0x38A), (0x38C, 0x38C),
    (0x38E, 0x3A1), (0x3A3, 0x3F5), (0x3F7, 0x481), (0x48A, 0x52F), (0x531, 0x556), (0x10A0, 0x10C5),
    (0x13A0, 0x13F5), (0x1E00, 0x1F15), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0x10400, 0x1044F)) + "]"
CJK = "[" + ranges((0x4E00, 0x9FA5), (0x800, 0x4E00), (0xAC00, 0xD7FF)) + "]+"
KANA = "[" + ranges((0x4E00, 0x9FA5), (0x3040, 0x309F), (0x30A0, 0x30FF)) + "]+"
MARKS = "[!-/:-~" + ranges((0xFF01, 0xFF0F), (0xFF1A, 0xFF5E), (0x2018, 0x201F), (0x3000, 0x3002)) + "]"

PATTERNS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "qwen35": [QWEN35],
    "tekken": [cased("") + r"|\p{N}" + SLASH],
    "gpt-4o": [cased(CONTRACTIONS + "?") + r"|\p{N}{1,3}" + SLASH],
    "deepseek-llm": ["[\r\n]", r"\s?" + CASED_LETTERS + "+", r"\s?" + MARKS + "+", r"\s+$", CJK, r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [
        r"\p{N}{1,3}", KANA,
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        + SPACES],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
}

TEXTS = [
    "Hello, world! It's 3.14159 or 1,234,567; we'LL see: I'VE don't 'Twas O'Reilly's",
    "  leading\n\n  lines \r\n\r\n\ttabs\t\t end   ",
    "na\u00efve Stra\u00dfe \u00c6ON \u01c5 \u02b0x \u0391\u0392\u0393\u03b4 \u041f\u0440\u0438\u0432\u0435\u0442\u041c\u0418\u0420 camelCaseXML HTTPServer",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u65e5\u672c\u8a9e\u30c6\u30ad\u30b9\u30c8 \u3053\u3093 \ud55c\uad6d\uc5b4 123\u5929",
    "e\u0301 n\u0303o Z\u0351\u0346x \u0928\u092e\u0938\u094d\u0924\u0947 \u0e44\u0e17\u0e22 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea\u2705 !!! ?? $5 +x=^y~|`z` #tag @me <b>/</b>/\n//x",
    "\u00bd \u2167 \u0663\u0664\u0665 \u0969 \uff11\uff12\uff13 x\u00b2 10\u2075 007 12345678",
    "a\u00a0b\u3000c\u2028d\u0085e \u200b f\ufeffg \u3000 \u00a0 h",
    "it'\u017f x'\u017fa ''s '' 'd'm'RE'vE",
    "\x00\x01\x7f a\x00b\x1c c",
    " \n \n x\n\n\n y \u3000\n z",
    "def f(x):\n    return x[1:]  # ok\n\n\tif a!=b: pass\n",
]


def random_texts():
    rng = random.Random(1)
    pool = " \n\r\t'sSaAdDlL1239.,!-/\u00e9\u0416\u0436\u4e2d\u3042\u0301\u00b2\U0001f600\u3000\u00a0"
    return ["".join(rng.choice(pool) for _ in range(40)) for _ in range(8)]


def lengths(patterns, text):
    stages = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    words = pre_tokenizers.Sequence(stages).pre_tokenize_str(text)
    return [len(text[start:end].encode()) for _, (start, end) in words]


def main():
    for pre, patterns in PATTERNS.items():
        for text in TEXTS + random_texts():
            print(json.dumps({"pre": pre, "text": text, "lengths": lengths(patterns, text)}))


if __name__ == "__main__":
    if tokenizers.__version__ != "0.23.3":
        sys.exit("pretokenize_golden.py: needs tokenizers 0.23.3, found " + tokenizers.__version__)
    main()
