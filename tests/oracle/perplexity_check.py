"""arklet perplexity against llama-perplexity, on the same GGUF, for every quantised type.

    python3 tests/oracle/perplexity_check.py -m F32_MODEL.gguf -f TEXT --bin LLAMA_CPP_BIN_DIR --work DIR
                                             [--types F16,Q4_0,...] [-c 256] [--arklet ./arklet] [--arklet-args '...']

llama-quantize makes the file of each type in DIR (--pure; rows that do not divide fall back as its author chose), both
programs read it. The difference may be LIMIT: llama.cpp's own kernels round activations differently on each machine.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile

TYPES = "F32,F16,BF16,Q8_0,Q4_0,Q4_1,Q5_0,Q5_1,Q4_K,Q5_K,Q6_K,Q2_K,Q3_K,IQ4_NL,Q4_K_M,Q5_K_M"
MIXED = {"Q4_K_M", "Q5_K_M", "Q4_K_S"}
LIMIT = 1.0  # per cent
TRIES = 5  # of a program that ends well without its last line


def quantise(a, kind):
    stem = os.path.splitext(os.path.basename(a.model))[0]
    path = os.path.join(a.work, f"{stem}-{kind}.gguf")
    if kind == "F32":
        return a.model
    if not os.path.exists(path):
        pure = [] if kind in MIXED else ["--pure"]
        subprocess.run([os.path.join(a.bin, "llama-quantize"), *pure, a.model, path, kind, a.threads], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def run(command):
    """Exit status and everything printed; by way of a file, since llama.cpp's logger loses its last lines into a pipe."""
    with tempfile.TemporaryFile("w+") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode
        out.seek(0)
        return status, out.read()


def perplexity(command, pattern):
    for _ in range(TRIES):
        status, text = run(command)
        found = re.findall(pattern, text)
        if status == 0 and found:
            return float(found[-1])
        if status:
            break
    raise RuntimeError(f"{os.path.basename(command[0])}: exit {status}: {''.join(text.strip().splitlines()[-1:])}")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("-m", "--model", required=True)
    ask.add_argument("-f", "--file", required=True)
    ask.add_argument("-c", "--context", default="256")
    ask.add_argument("-t", "--threads", default="2")
    ask.add_argument("--bin", required=True)
    ask.add_argument("--work", required=True)
    ask.add_argument("--types", default=TYPES)
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("--arklet-args", default="")
    a = ask.parse_args()
    os.makedirs(a.work, exist_ok=True)
    failed = 0
    print("| type | llama.cpp | arklet | difference |\n|---|---|---|---|")
    for kind in a.types.split(","):
        try:
            path = quantise(a, kind)
            theirs = perplexity([os.path.join(a.bin, "llama-perplexity"), "-m", path, "-f", a.file, "-c", a.context, "-t", a.threads],
                                r"Final estimate: PPL = ([0-9.]+)")
            ours = perplexity([a.arklet, "perplexity", "-m", path, "-f", a.file, "-c", a.context, "-t", a.threads,
                               *shlex.split(a.arklet_args)], r"PPL = ([0-9.]+)")
        except (RuntimeError, subprocess.CalledProcessError) as problem:
            failed += 1
            print(f"| {kind} | {problem} | | |", flush=True)
            continue
        gap = 100 * (ours / theirs - 1)
        failed += abs(gap) > LIMIT
        print(f"| {kind} | {theirs:.4f} | {ours:.4f} | {gap:+.3f} %{'' if abs(gap) <= LIMIT else ' TOO FAR'} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
