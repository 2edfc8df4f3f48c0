"""Adapters between arklet, transformers + peft, and llama.cpp: the same model whoever loads it.

    python3 tests/oracle/interop_check.py --bin LLAMA_CPP_BIN_DIR --work DIR [--arklet ./arklet] [--convert CONVERT_LORA_TO_GGUF.py]
                                          [NAME...]

For each model of fixtures/models arklet trains an adapter on a few records. Then, in one table:

  peft loads ours       log-probabilities of completions by transformers with our PEFT folder, against `arklet logprobs`
  we load peft's        the same with fixtures/adapters/NAME, which peft wrote
  gguf / folder         `arklet logprobs` with our folder against our GGUF: 0
  --lora                perplexity by llama-perplexity with our adapter.gguf, against `arklet perplexity`
  exported              the same with peft's adapter, written as a GGUF by `arklet export`
  merged F16            perplexity by llama-perplexity of `arklet merge` to F16, against `arklet perplexity --lora` unmerged
  converted             llama.cpp's own convert_lora_to_gguf.py (--convert) makes of peft's folder the tensors that `arklet
                        export` makes: largest difference (its F32 output)

A number is the largest difference of a log-probability, or the relative difference of a perplexity, in per cent.
"""

import argparse
import json
import os
import re
import subprocess
import sys

import gguf
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from perplexity_check import perplexity

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = ["llama", "llama3", "qwen2", "qwen3", "gemma3", "gemma3-linear"]
RECORDS = [
    ("Ann has 12 apples and gives 5 to Ben.", " 12 - 5 = 7. The answer is 7."),
    ("There are 3 shelves with 4 books each.", " 3 * 4 = 12 books. The answer is 12."),
    ("Ben thinks the answer is 8.", " The other agents show that it is 7."),
]
FLOAT_CACHE = ["-ctk", "f32", "-ctv", "f32"]
LOGPROB_LIMIT = 2e-5  # nats; float32 on both sides
PPL_LIMIT = 0.05  # per cent: llama-perplexity prints four decimals
GELU_LIMIT = 0.5  # per cent: llama.cpp takes gemma's GELU from a table of f16 values


def arklet(a, *words):
    done = subprocess.run([a.arklet, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"arklet {words[0]}: {done.stderr.strip()}")
    return done.stdout


def train(a, name, data):
    out = os.path.join(a.work, name)
    flags = ["--rslora"] if name in ("qwen3", "gemma3") else []
    arklet(a, "sft", "-m", f"{ROOT}/fixtures/models/{name}", "-f", data, "-o", out, "--epochs", "12", "--batch", "3", "--lr", "5e-3",
           "--rank", "4", "-q", *flags, *FLOAT_CACHE)
    return out


def our_logprobs(a, name, data, adapter):
    lines = arklet(a, "logprobs", "-m", f"{ROOT}/fixtures/models/{name}/model.gguf", "-f", data, "--lora", adapter, "-q", *FLOAT_CACHE)
    return [json.loads(line) for line in lines.splitlines()]


def prompt_ids(a, name, text):
    path = os.path.join(a.work, "prompt.txt")
    open(path, "w").write(text)
    return [int(i) for i in arklet(a, "tokenize", "-m", f"{ROOT}/fixtures/models/{name}/model.gguf", "-f", path).split()]


def peft_gap(a, name, data, adapter):
    """Largest difference of a log-probability between `arklet logprobs` and transformers + peft."""
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(f"{ROOT}/fixtures/models/{name}", dtype=torch.float32, attn_implementation="eager"), adapter)
    model.eval()
    worst = 0.0
    for record, (prompt, _) in zip(our_logprobs(a, name, data, adapter), RECORDS):
        before = prompt_ids(a, name, prompt)
        ids = before + record["tokens"]
        with torch.no_grad():
            rows = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
        want = [rows[len(before) - 1 + i, t].item() for i, t in enumerate(record["tokens"])]
        worst = max(worst, max(abs(x - y) for x, y in zip(want, record["logprobs"])))
    return worst


def same_logprobs(a, name, data, one, two):
    pairs = zip(our_logprobs(a, name, data, one), our_logprobs(a, name, data, two))
    return max(abs(x - y) for p, q in pairs for x, y in zip(p["logprobs"], q["logprobs"]))


def their_ppl(a, model, text, *more):
    return perplexity([os.path.join(a.bin, "llama-perplexity"), "-m", model, "-f", text, "-c", "64", "-t", "2", *FLOAT_CACHE,
                       "-fa", "off", *more], r"Final estimate: PPL = ([0-9.]+)")


def our_ppl(a, model, text, *more):
    out = arklet(a, "perplexity", "-m", model, "-f", text, "-c", "64", "-q", *FLOAT_CACHE, *more)
    return float(re.search(r"PPL = ([0-9.]+)", out).group(1))


def tensors(path):
    return {t.name: np.array(t.data, dtype=np.float32).reshape(tuple(reversed(t.shape))) for t in gguf.GGUFReader(path).tensors}


def converted_gap(a, name, exported):
    out = os.path.join(a.work, f"{name}-converted.gguf")
    subprocess.run([sys.executable, a.convert, "--outtype", "f32", "--outfile", out, "--base", f"{ROOT}/fixtures/models/{name}",
                    f"{ROOT}/fixtures/adapters/{name}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours, theirs = tensors(exported), tensors(out)
    if set(ours) != set(theirs):
        raise RuntimeError(f"names differ: {sorted(set(ours) ^ set(theirs))[:2]}")
    return max(np.abs(ours[k] - theirs[k]).max() for k in ours)


def check(a, name):
    data, text = os.path.join(a.work, "records.jsonl"), os.path.join(a.work, "text.txt")
    model = f"{ROOT}/fixtures/models/{name}/model.gguf"
    mine, theirs = train(a, name, data), f"{ROOT}/fixtures/adapters/{name}"
    exported, merged = os.path.join(a.work, f"{name}-peft.gguf"), os.path.join(a.work, f"{name}-merged.gguf")
    arklet(a, "export", "-m", model, "--lora", theirs, "-o", exported)
    arklet(a, "merge", "-m", model, "--lora", mine, "-o", merged, "F16", "-q")
    ours, plain = our_ppl(a, model, text, "--lora", mine), our_ppl(a, model, text)
    limit = GELU_LIMIT if "gemma" in name else PPL_LIMIT
    per_cent = lambda x, y: 100 * abs(x / y - 1)
    cells = [
        (peft_gap(a, name, data, mine), LOGPROB_LIMIT),
        (peft_gap(a, name, data, theirs), LOGPROB_LIMIT),
        (same_logprobs(a, name, data, mine, os.path.join(mine, "adapter.gguf")), 0),
        (per_cent(their_ppl(a, model, text, "--lora", os.path.join(mine, "adapter.gguf")), ours), limit),
        (per_cent(their_ppl(a, model, text, "--lora", exported), our_ppl(a, model, text, "--lora", theirs)), limit),
        (per_cent(their_ppl(a, merged, text), ours), limit),
    ]
    if a.convert:
        cells.append((converted_gap(a, name, exported), 0))
    marks = [f"{value:.2g}" + ("" if value <= bound else " TOO FAR") for value, bound in cells]
    print(f"| {name} | {plain:.2f} -> {ours:.2f} | " + " | ".join(marks) + " |", flush=True)
    return all(value <= bound for value, bound in cells)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=MODELS)
    ask.add_argument("--bin", required=True)
    ask.add_argument("--work", required=True)
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("--convert")
    a = ask.parse_args()
    os.makedirs(a.work, exist_ok=True)
    torch.set_num_threads(1)
    with open(os.path.join(a.work, "records.jsonl"), "w") as out:
        for prompt, completion in RECORDS:
            out.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")
    open(os.path.join(a.work, "text.txt"), "w").write("".join(p + c + "\n" for p, c in RECORDS) * 12)
    print("| model | perplexity by arklet | peft loads ours | we load peft's | gguf / folder | --lora % | exported % | merged F16 % |"
          + (" converted |" if a.convert else ""))
    print("|---|---|---|---|---|---|---|---|" + ("---|" if a.convert else ""))
    ok = True
    for name in a.names:
        try:
            ok &= check(a, name)
        except (RuntimeError, subprocess.CalledProcessError) as problem:
            print(f"| {name} | {problem} |", flush=True)
            ok = False
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
