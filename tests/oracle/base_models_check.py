"""The models of fixtures/demo in llama.cpp: the same greedy texts and the same perplexity as in arklet.

    python3 tests/oracle/base_models_check.py --bin LLAMA_CPP_BIN_DIR --work DIR [--arklet ./arklet]
                                              [--world build/release-x86_64/world] [--questions 100] [MODEL.gguf ...]

Default models: all of fixtures/base (floats) and fixtures/demo (quantised). Of each, llama-completion continues the prompts of the
first dev questions, and so does arklet; the last column is llama-perplexity against `arklet perplexity`, over dev questions with
their solutions. Floats must give every text (with float caches in both programs), quantised ones SAME_QUANTISED of a hundred:
llama.cpp's kernels round activations differently on each machine.
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

from perplexity_check import perplexity

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAME_QUANTISED = 0.95
PPL_LIMIT = 1.0  # per cent
PPL_QUESTIONS = 500
MAX_NEW = "160"
TRIES = 5  # llama-completion may lose its last words; a text that is cut at MAX_NEW has no end anyway
FLOAT_CACHE = ["-ctk", "f32", "-ctv", "f32"]
NO_FLASH = ["-fa", "off"]  # llama.cpp's flash attention rounds to f16


def output_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{os.path.basename(command[0])}: exit {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def prompt_of(question):
    return f"Question: {question['question']}\n\nSolution:\n\n"


def our_text(a, model, cache, prompt):
    return output_of(a.arklet, "run", "-m", model, "-p", prompt, "-n", MAX_NEW, "--temp", "0", "-q", "-t", a.threads, *cache)


def their_text(a, model, cache, prompt):
    command = [os.path.join(a.bin, "llama-completion"), "-m", model, "-p", prompt, "-n", MAX_NEW, "--temp", "0", "-t", a.threads,
               "-no-cnv", "--no-display-prompt", "--no-warmup", *NO_FLASH, *cache]
    for _ in range(TRIES):
        with tempfile.TemporaryFile("w+") as out:
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
            out.seek(0)
            text, end, _rest = out.read().partition(" [end of text]")  # what it prints in place of the token
        if end:
            break
    return text


def same_texts(a, model, cache, questions):
    pairs = [(our_text(a, model, cache, prompt_of(q)), their_text(a, model, cache, prompt_of(q))) for q in questions]
    return sum(ours.strip() == theirs.strip() and ours.strip() != "" for ours, theirs in pairs)


def perplexity_gap(a, model, cache, text):
    common = ["-m", model, "-f", text, "-c", "256", "-t", a.threads, *cache]
    theirs = perplexity([os.path.join(a.bin, "llama-perplexity"), *common], r"Final estimate: PPL = ([0-9.]+)")
    ours = perplexity([a.arklet, "perplexity", *common], r"PPL = ([0-9.]+)")
    return theirs, ours, 100 * (ours / theirs - 1)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("models", nargs="*")
    ask.add_argument("--bin", required=True)
    ask.add_argument("--work", required=True)
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("--world", default=f"build/release-{os.uname().machine}/world")
    ask.add_argument("--questions", type=int, default=100)
    ask.add_argument("-t", "--threads", default="1")
    a = ask.parse_args()
    models = a.models or sorted(glob.glob(f"{ROOT}/fixtures/base/*.gguf")) + sorted(glob.glob(f"{ROOT}/fixtures/demo/*.gguf"))
    os.makedirs(a.work, exist_ok=True)
    lines = output_of(a.world, "questions", "split=dev", f"count={PPL_QUESTIONS}", "seed=1").splitlines()
    questions = [json.loads(line) for line in lines]
    text = os.path.join(a.work, "dev.txt")
    with open(text, "w") as out:
        out.writelines(prompt_of(q) + q["answer"] + "\n\n" for q in questions)
    failed = 0
    print(f"| model | matrices | same text, of {a.questions} | PPL llama.cpp | PPL arklet | difference |\n|---|---|---|---|---|---|")
    for model in models:
        kind = re.search(r"blk\.0\.ffn_down\.weight\s+(\S+)", output_of(a.arklet, "inspect", model)).group(1)
        cache = FLOAT_CACHE if kind == "F32" else []
        same = same_texts(a, model, cache, questions[:a.questions])
        theirs, ours, gap = perplexity_gap(a, model, cache, text)
        bad = same < (1 if kind == "F32" else SAME_QUANTISED) * a.questions or abs(gap) > PPL_LIMIT
        failed += bad
        print(f"| {os.path.relpath(model, ROOT)} | {kind} | {same} | {theirs:.4f} | {ours:.4f} | {gap:+.3f} %{' MISSED' if bad else ''} |",
              flush=True)
    sys.exit(1 if failed or not models else 0)


if __name__ == "__main__":
    main()
