#!/usr/bin/env python3
"""Is a LoRA kept apart on a quantised base as good as merging it first and quantising the sum?

    python3 tests/bench/lora_apart.py WORK [--data ../shared/data] [--arklet ./arklet] [--bases 2] [--seeds 3] [-t 2]
                                      [--types Q8_0,Q4_0,Q4_K_M] [--base-tokens 700000] [--tune-tokens 60000]
                                      [--base MODEL.gguf ...]

Bases are float models given with --base, or small ones (llama, dim 256, 3 layers, so that blocks of 256 fit) that arklet
makes and trains on one kind of text (GSM8K training problems). Adapters (rank 8, all matrices) are trained on another
(HotpotQA paragraphs); the perplexity is that of paragraphs of other questions. One adapter per base and seed is trained on
the float base, and one on each quantised base.

For each type, with B the F32 base, A its adapter, q() quantisation, and Aq the adapter trained on q(B):
    float     B + A in F16                        nothing quantised: what the adapter can do
    merged    q(B + A)                            merge, then quantise
    apart     q(B), A beside it                   the adapter of the float model on the quantised base
    own       q(B), Aq beside it                  the adapter trained where it is used
    own+q     q(q(B) + Aq)                        the same, merged into the quantised base and rounded again

The table has the mean of log perplexity minus float's, and the paired differences with 95 % intervals of Student's t over
the pairs of base and seed. Everything is kept in WORK: a run that was stopped goes on.
"""
import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys

T95 = [math.nan, math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179]
WINDOW = 256
HELD_OUT = 12  # questions whose paragraphs are measured
SHAPE = dict(model_type="llama", hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=WINDOW, rms_norm_eps=1e-5, rope_theta=10000.0,
             tie_word_embeddings=True)


class Work:
    def __init__(self, args):
        self.args, self.folder = args, args.work
        os.makedirs(self.folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments):
        command = [self.args.arklet, *map(str, arguments), "-t", str(self.args.threads), "-q"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"lora_apart.py: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def make(self, name, *arguments):
        """Runs arklet unless its output is there; commands write it whole or not at all."""
        if not os.path.exists(self.path(name)):
            self.run(*arguments)
        return self.path(name)

    def perplexity(self, model, *adapter):
        text = self.run("perplexity", "-m", model, "-f", self.path("held_out.txt"), "-c", WINDOW, *adapter)
        return math.log(float(re.search(r"PPL = ([\d.]+)", text)[1]))


# ---- Texts ----

def base_texts(data):
    with open(os.path.join(data, "gsm8k", "train.jsonl"), encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            yield record["question"] + "\n\n" + record["answer"] + "\n"


def paragraphs(data):
    """Per question: its paragraphs."""
    with open(os.path.join(data, "eval", "hotpotqa_distractor_240.json"), encoding="utf-8") as file:
        for question in json.load(file):
            yield [f"{title}\n{''.join(sentences)}\n" for title, sentences in question["context"]]


def write_records(path, texts, limit):
    """Records of at most `limit` bytes together, all of whose text counts."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        for text in texts:
            limit -= len(text.encode())
            if limit < 0:
                break
            file.write(json.dumps({"segments": [{"text": text, "weight": 1}]}) + "\n")
    os.replace(path + ".part", path)


def prepare(work):
    args = work.args
    if os.path.exists(work.path("held_out.txt")):
        return
    problems = list(base_texts(args.data))
    questions = list(paragraphs(args.data))
    known = {p for q in questions[HELD_OUT:] for p in q}
    tune = sorted(known)
    random.Random(1).shuffle(tune)
    with open(work.path("vocabulary.txt"), "w", encoding="utf-8") as file:
        file.write("".join(problems + tune))
    write_records(work.path("base.jsonl"), problems, 4 * args.base_tokens)
    write_records(work.path("tune.jsonl"), tune, 3 * args.tune_tokens)
    with open(work.path("held_out.txt"), "w", encoding="utf-8") as file:
        file.write("".join(p for q in questions[:HELD_OUT] for p in q if p not in known))


# ---- Models ----

def train_base(work, index):
    if work.args.base:
        return work.args.base[index - 1]
    vocabulary = work.make("vocabulary.gguf", "tokenizer", "-f", work.path("vocabulary.txt"), "-o",
                           work.path("vocabulary.gguf"), "--vocab-size", 1024)
    with open(work.path("config.json"), "w", encoding="utf-8") as file:
        json.dump(SHAPE, file)
    fresh = work.make(f"fresh{index}.gguf", "init", work.path("config.json"), work.path(f"fresh{index}.gguf"),
                      "--tokenizer", vocabulary, "-s", index)
    folder = f"base{index}"
    return work.make(folder + "/model.gguf", "sft", "--full", "-m", fresh, "-f", work.path("base.jsonl"), "-o",
                     work.path(folder), "--optim", "muon", "--lr", 0.02, "--batch", 16, "--max-len", WINDOW, "-s", index,
                     "--resume", "--epochs", 1)


def train_adapter(work, name, model, seed):
    work.make(name + "/adapter.gguf", "sft", "-m", model, "-f", work.path("tune.jsonl"), "-o", work.path(name), "--rank", 8,
              "--lr", 4e-3, "--batch", 8, "--max-len", WINDOW, "-s", seed, "--resume", "--epochs", 1)
    return work.path(name)


def merged(work, model, adapter, kind):
    """Log perplexity of model + adapter, merged into a file of this type."""
    out = work.path("merged.gguf")
    work.run("merge", "-m", model, "--lora", adapter, "-o", out, kind)
    value = work.perplexity(out)
    os.remove(out)
    return value


def measure_pair(work, index, seed):
    """All numbers of one base and seed."""
    base = train_base(work, index)
    adapter = train_adapter(work, f"lora{index}-{seed}", base, seed)
    result = {"base": work.perplexity(base), "float": merged(work, base, adapter, "F16")}
    for kind in work.args.types.split(","):
        quantised = work.make(f"base{index}-{kind}.gguf", "quantize", base, work.path(f"base{index}-{kind}.gguf"), kind)
        own = train_adapter(work, f"lora{index}-{seed}-{kind}", quantised, seed)
        result[kind] = {"base": work.perplexity(quantised), "merged": merged(work, base, adapter, kind),
                        "apart": work.perplexity(quantised, "--lora", adapter),
                        "own": work.perplexity(quantised, "--lora", own), "own+q": merged(work, quantised, own, kind)}
    return result


# ---- The table ----

def interval(values):
    mean, n = statistics.fmean(values), len(values)
    half = T95[n] * statistics.stdev(values) / math.sqrt(n) if 1 < n < len(T95) else math.nan
    return f"{100 * mean:+.2f} ± {100 * half:.2f}"


def report(results, kinds):
    ppl = [math.exp(statistics.fmean(r[k] for r in results)) for k in ("base", "float")]
    print(f"{len(results)} pairs of base and seed; held-out perplexity: base {ppl[0]:.3f}, float adapter {ppl[1]:.3f}\n")
    print("Percent of log-perplexity change, i.e. 100 x difference of log PPL; mean ± half of a 95 % interval.\n")
    print("| type | q(B) - B, no adapter | merged - float | apart - float | own - float | apart - merged | own - merged |"
          " own+q - own |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        def row(a, b):
            return interval([(r[kind][a] if a in r[kind] else r[a]) - (r[b] if b in ("float",) else r[kind][b])
                             for r in results])
        loss = interval([r[kind]["base"] - r["base"] for r in results])
        print(f"| {kind} | {loss} | {row('merged', 'float')} | {row('apart', 'float')} | {row('own', 'float')} | "
              f"{row('apart', 'merged')} | {row('own', 'merged')} | {row('own+q', 'own')} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--arklet", default="./arklet")
    parser.add_argument("--bases", type=int, default=2)
    parser.add_argument("--base", action="append", help="a trained float model; repeatable")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--types", default="Q8_0,Q4_0,Q4_K_M")
    parser.add_argument("--base-tokens", type=int, default=700000)
    parser.add_argument("--tune-tokens", type=int, default=60000)
    parser.add_argument("-t", "--threads", type=int, default=2)
    args = parser.parse_args()
    args.bases = len(args.base) if args.base else args.bases
    work = Work(args)
    prepare(work)
    results = []
    for index in range(1, args.bases + 1):
        for seed in range(1, args.seeds + 1):
            path = work.path(f"result{index}-{seed}.json")
            if not os.path.exists(path):
                result = measure_pair(work, index, seed)
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(result, file)
            with open(path, encoding="utf-8") as file:
                results.append(json.load(file))
            print(path, json.dumps(results[-1]), file=sys.stderr)
    report(results, args.types.split(","))


if __name__ == "__main__":
    main()
