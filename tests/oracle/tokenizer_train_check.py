#!/usr/bin/env python3
"""Compares `arklet tokenizer` with the tokenizers library's BpeTrainer: the same text must give the same vocabulary.

    pip install tokenizers==0.23.3
    python3 tests/oracle/tokenizer_train_check.py TEXT... [--vocab-size N] [--arklet ./arklet]

For every pre-tokenizer and text: pieces, ids and merges of both are equal, and both give the same ids for the text.
The library is given the text as one item, without the special token, which arklet cuts out of a text. It breaks ties
as arklet does (smaller ids first). It may differ after two merges have made the same bytes, since it does not forget the
count of a pair that is merged already; no text so far has shown it.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SPECIAL = "<|endoftext|>"
PRES = ["gpt-2", "smollm", "qwen2", "llama-bpe", "qwen35", "tekken", "gpt-4o"]


def library(text, pre_tokenizer, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=[SPECIAL], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text], trainer)
    return json.loads(tokenizer.to_str())["model"]


def merges_of(model):
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]


def check(arklet, path, pre, size):
    text = open(path, encoding="utf-8", newline="").read().replace(SPECIAL, "")
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "text"), os.path.join(folder, "out")
        with open(source, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        subprocess.run([arklet, "tokenizer", "-f", source, "-o", out, "--pre", pre, "--vocab-size", str(size), "-q"],
                       check=True)
        ours = json.load(open(os.path.join(out, "tokenizer.json"), encoding="utf-8"))["model"]
        tokenizer = Tokenizer.from_file(os.path.join(out, "tokenizer.json"))
        ids = subprocess.run([arklet, "tokenize", "-m", out, "-f", source], check=True, capture_output=True, text=True)
    theirs = library(text, tokenizer.pre_tokenizer, size)
    same = ours["vocab"] == theirs["vocab"] and merges_of(ours) == merges_of(theirs)
    agree = tokenizer.encode(text).ids == [int(i) for i in ids.stdout.split()]
    decoded = tokenizer.decode(tokenizer.encode(text).ids) == text
    first = next((i for i, (a, b) in enumerate(zip(merges_of(ours), merges_of(theirs))) if a != b), "none")
    print(f"{os.path.basename(path)} {pre}: {len(ours['merges'])} merges {'equal' if same else 'DIFFER'} "
          f"(first difference: {first}); ids {'equal' if agree else 'DIFFER'}; decoded {'equal' if decoded else 'DIFFER'}")
    return same and agree and decoded


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--vocab-size", type=int, default=2048)
    parser.add_argument("--arklet", default="./arklet")
    args = parser.parse_args()
    results = [check(args.arklet, path, pre, args.vocab_size) for path in args.texts for pre in PRES]
    print(f"{sum(results)} of {len(results)} equal")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
