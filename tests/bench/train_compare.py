#!/usr/bin/env python3
"""A LoRA step by arklet and by torch + transformers + peft, in turns on the same machine: tokens per second and memory.

    python3 tests/bench/train_compare.py MODEL.gguf [MODEL.gguf ...] [--arklet ./arklet] [-t 2] [-r 3] [--dtype float32]
                                         [--quiet COMMAND]

One sequence of 256 tokens, loss on the last 128, rank 8 on all seven matrices, AdamW: everything of a step counted. MODEL is a
quantised GGUF of the Qwen2.5-0.5B shape (tests/bench/make_models.py); torch trains the same shape with random weights in
--dtype, without and with gradient checkpointing, which is what arklet always does. Speeds are medians over the turns. Memory is
the largest resident set of a process that does two such steps: `arklet sft` on a record of that size, or torch's loop;
beside the weights: that minus their size in the file, or in --dtype.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from compare import machine

TOKENS, LOSS_TOKENS = 256, 128
SHAPE = dict(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
             num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def torch_steps(a):
    """In a process of its own: prints {"speed", "weights"} of the fastest of two steps after one to warm up."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    dtype = getattr(torch, a.dtype)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE)).to(dtype)
    model = model.to_empty(device="cpu")
    for p in model.parameters():
        p.data.normal_(0, 0.02)
    model.tie_weights()
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS))
    if a.checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.randint(0, 150000, (1, TOKENS))
    labels = ids.clone()
    labels[:, :TOKENS - LOSS_TOKENS] = -100
    best = 0
    for step in range(3):
        start = time.monotonic()
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step:
            best = max(best, TOKENS / (time.monotonic() - start))
    print(json.dumps(dict(speed=best, weights=weights)))


def run(a, command):
    """Standard output of a command and the largest resident set of it, in bytes."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as notes:
        process = subprocess.Popen([*shlex.split(a.quiet), *command], stdout=out, stderr=notes, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        notes.seek(0)
        if process.returncode:
            sys.exit(f"train_compare.py: {shlex.join(command)}: exit {process.returncode}: {notes.read()[-300:]}")
        return out.read(), usage.ru_maxrss * 1024


def arklet_speed(a, model):
    out, _ = run(a, [a.arklet, "bench", "-q", "-m", model, "-p", "0", "-n", "0", "--train", "--train-tokens", str(TOKENS),
                     "--prompts", "0", "-r", "2", "-t", str(a.threads), "-o", "json"])
    return json.loads(out)[0]["avg_ts"]


def arklet_memory(a, model):
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data.jsonl")
        with open(data, "w", encoding="utf-8") as file:
            prompt, completion = " stone" * (TOKENS - LOSS_TOKENS), " river" * (LOSS_TOKENS - 1)
            print(json.dumps(dict(prompt=prompt, completion=completion)), file=file)
        _, peak = run(a, [a.arklet, "sft", "-q", "-m", model, "-f", data, "-o", os.path.join(folder, "run"), "--rank", "8", "--epochs", "2",
                          "--batch", "1", "--max-len", str(TOKENS), "-t", str(a.threads)])
    return peak, peak - os.path.getsize(model)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("models", nargs="*")
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    ask.add_argument("-r", "--reps", type=int, default=3)
    ask.add_argument("--dtype", default="float32")
    ask.add_argument("--quiet", default="", metavar="COMMAND")
    ask.add_argument("--torch-steps", action="store_true", help=argparse.SUPPRESS)
    ask.add_argument("--checkpointing", action="store_true", help=argparse.SUPPRESS)
    a = ask.parse_args()
    if a.torch_steps:
        torch_steps(a)
        return
    peers = {f"torch {a.dtype}": [], f"torch {a.dtype}, checkpointing": ["--checkpointing"]}
    speeds = {name: [] for name in [*a.models, *peers]}
    memory = {model: arklet_memory(a, model) for model in a.models}
    for turn in range(a.reps):
        for model in a.models:
            speeds[model].append(arklet_speed(a, model))
        for name, flags in peers.items():
            out, peak = run(a, [sys.executable, os.path.abspath(__file__), "--torch-steps", "--dtype", a.dtype, "-t", str(a.threads), *flags])
            got = json.loads(out.splitlines()[-1])
            speeds[name].append(got["speed"])
            memory[name] = peak, peak - got["weights"]
        print(f"turn {turn + 1}/{a.reps}: " + ", ".join(f"{os.path.basename(n)} {s[-1]:.1f}" for n, s in speeds.items()), file=sys.stderr)
    print(f"{machine()}; {a.threads} threads, {a.reps} turns\n")
    head = ["program", "tok/s", "range", "peak memory MB", "beside the weights MB"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name, s in speeds.items():
        print(f"| {'arklet ' if name in a.models else ''}{os.path.basename(name)} | {statistics.median(s):.1f} | "
              f"{min(s):.1f}-{max(s):.1f} | {memory[name][0] / 1e6:.0f} | {memory[name][1] / 1e6:.0f} |")


if __name__ == "__main__":
    main()
