"""arklet logprobs against transformers, on every model of fixtures/models, as folder and as GGUF.

    python3 tests/oracle/logits_check.py [--arklet ./arklet] [--models DIR] [NAME ...]

Token ids must be equal; log-probabilities (float weights, f32 cache) may differ by BOUND of the largest one.
The golden logits of the C tests cover the forward pass; this covers the way from text to the printed number.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOUND = 1e-4  # the stated agreement of float models; llama.cpp against transformers shows 3e-6
RECORDS = [
    ("Ann has 12 apples and gives 5 to Ben.", " How many apples does Ann have now?\n12 - 5 = 7"),
    ("", "The answer is 7."),
    ("Ben", "jamin thinks: na\u00efve \u65e5\u672c \U0001f600\n\n\n  indented\ttext 2024"),
    ("Step 1: " * 12, "Step 2: 3 * 4 = 12, so the answer is 12.\n" * 2),
]


def encoder(folder):
    """text -> ids, and the same for a continuation: no BOS, no space in front."""
    form = json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf-8"))
    whole = Tokenizer.from_str(json.dumps(form))
    steps = (form.get("normalizer") or {}).get("normalizers")
    if steps:
        form["normalizer"]["normalizers"] = [s for s in steps if s["type"] != "Prepend"]
    rest = Tokenizer.from_str(json.dumps(form))
    about = json.load(open(os.path.join(folder, "tokenizer_config.json")))
    bos = whole.token_to_id(about["bos_token"])
    return (lambda text: whole.encode(text).ids if text else [bos]), (lambda text: rest.encode(text, add_special_tokens=False).ids)


def expected(folder):
    first, rest = encoder(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    for prompt, completion in RECORDS:
        ids, more = first(prompt), rest(completion)
        with torch.no_grad():
            table = torch.log_softmax(model(torch.tensor([ids + more])).logits[0].double(), -1)
        yield more, np.array([table[len(ids) + i - 1, t].item() for i, t in enumerate(more)])


def found(arklet, path):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as f:
        for prompt, completion in RECORDS:
            f.write(json.dumps(dict(prompt=prompt, completion=completion)) + "\n")
        f.flush()
        done = subprocess.run([arklet, "logprobs", "-m", path, "-f", f.name, "-ctk", "f32", "-ctv", "f32"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    for line in done.stdout.splitlines():
        record = json.loads(line)
        yield record["tokens"], np.array(record["logprobs"])


def compare(want, got):
    """Largest difference relative to the largest log-probability; a difference of ids raises."""
    worst, want, got = 0.0, list(want), list(got)
    if len(want) != len(got):
        raise RuntimeError(f"{len(got)} records, expected {len(want)}")
    for n, ((ids, a), (theirs, b)) in enumerate(zip(want, got)):
        if list(theirs) != ids:
            raise RuntimeError(f"record {n}: ids {theirs}, expected {ids}")
        worst = max(worst, np.abs(a - b).max() / np.abs(a).max())
    return worst


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*")
    ask.add_argument("--arklet", default=os.path.join(ROOT, "arklet"))
    ask.add_argument("--models", default=os.path.join(ROOT, "fixtures", "models"))
    a = ask.parse_args()
    failed = 0
    for name in a.names or sorted(os.listdir(a.models)):
        folder = os.path.join(a.models, name)
        want = list(expected(folder))
        for path in (folder, os.path.join(folder, "model.gguf")):
            what = "folder" if path == folder else "gguf"
            try:
                worst = compare(want, found(a.arklet, path))
                failed += worst > BOUND
                print(f"{name:14s} {what:6s} {worst:.1e} {'ok' if worst <= BOUND else 'TOO FAR'}", flush=True)
            except RuntimeError as problem:
                failed += 1
                print(f"{name:14s} {what:6s} {problem}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
