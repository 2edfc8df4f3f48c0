#!/usr/bin/env python3
"""Steps of reinforcement: arklet against TRL's GRPOTrainer on this CPU, on the same weights, in turns.

    python3 tests/bench/grpo_compare.py WORK --float MODEL-f16.gguf -m MODEL-q4_0.gguf [-m ...] [--quiet COMMAND]
                                        [--prompts 2] [--group 4] [--max-new 128] [--prompt-tokens 100] [--rank 8]
                                        [--steps 1] [--turns 1] [-t 2] [--dtypes float32,bfloat16] [--no-checkpointing]

A step samples PROMPTS x GROUP completions of MAX_NEW tokens each (no shorter ones: the end of a text is not allowed
before), gives them made-up rewards, and updates a LoRA of rank RANK on all seven matrices once. arklet's figure is the row
`grpo` of `arklet bench --train`. TRL's is the time from the beginning to the end of a step of a real GRPOTrainer, generation
included, with TRL's defaults but for the sizes, LoRA and `use_cpu`; the first step warms up and does not count.
Transformers reads the float GGUF, so that both have the same weights; WORK keeps its copy as a Hugging Face folder. The
peak is the largest resident size of the process. `--quiet` puts a command before every run.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

# What tests/oracle/requirements.txt pins is imported by TRL's own process alone.


def run(command, threads):
    """Standard output of a command and its peak in MB, in a process of its own so that peaks do not mix."""
    code = ("import json, resource, subprocess, sys; d = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True); "
            "print(json.dumps([d.returncode, d.stdout, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))")
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    done = subprocess.run([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, env=environment, check=True)
    status, output, peak = json.loads(done.stdout.strip().split("\n")[-1])
    if status:
        raise SystemExit(f"grpo_compare.py: {shlex.join(command)}: exit {status}")
    return output, peak


def arklet_turn(a, model):
    command = [*shlex.split(a.quiet), a.arklet, "bench", "-m", model, "-p", "0", "-n", "0", "--train", "--train-tokens", "0",
               "--prompts", str(a.prompts), "--group", str(a.group), "--max-new", str(a.max_new), "--prompt-tokens",
               str(a.prompt_tokens), "--rank", str(a.rank), "-r", str(a.steps), "-t", str(a.threads), "-o", "json", "-q", "--no-limits"]
    output, peak = run(command, a.threads)
    row = [r for r in json.loads(output) if r["test"] == "grpo"][0]
    return row["avg_ts"] / a.max_new, peak


def trl_turn(a, dtype):
    own = [sys.executable, os.path.abspath(__file__), a.work, "--trl", dtype, "--prompts", str(a.prompts), "--group", str(a.group),
           "--max-new", str(a.max_new), "--prompt-tokens", str(a.prompt_tokens), "--rank", str(a.rank), "--steps", str(a.steps),
           "-t", str(a.threads), *(["--no-checkpointing"] if a.no_checkpointing else [])]
    output, peak = run([*shlex.split(a.quiet), *own], a.threads)
    return float(output.strip().split("\n")[-1]), peak


def copy_float(a):
    """The float GGUF as a Hugging Face folder."""
    folder = os.path.join(a.work, "model")
    if os.path.exists(os.path.join(folder, "config.json")):
        return
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = dict(pretrained_model_name_or_path=os.path.dirname(os.path.abspath(a.float)), gguf_file=os.path.basename(a.float))
    dense = GgufConfig(dequantize=True)
    AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, quantization_config=dense).save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def trl(a):
    """TRL's own process: seconds a sample of the steps after the first."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(a.threads)
    folder, samples, times = os.path.join(a.work, "model"), a.prompts * a.group, []
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    prompt = " the" * a.prompt_tokens
    assert len(tokenizer(prompt)["input_ids"]) == a.prompt_tokens, "a prompt of another length"

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            times.append(-time.monotonic())

        def on_step_end(self, *_, **__):
            times[-1] += time.monotonic()

    lengths = []

    def reward(completions, completion_ids, **_):
        lengths.extend(map(len, completion_ids))
        return [float(sum(ids) % 7) for ids in completion_ids]

    args = GRPOConfig(
        output_dir=os.path.join(a.work, "trl"), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, save_strategy="no",
        per_device_train_batch_size=samples, num_generations=a.group, max_completion_length=a.max_new, max_steps=a.steps + 1,
        generation_kwargs=dict(min_new_tokens=a.max_new), learning_rate=1e-5,
        **(dict(gradient_checkpointing=False) if a.no_checkpointing else {}),
    )
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, a.trl)), processing_class=tokenizer, args=args,
        reward_funcs=reward, train_dataset=Dataset.from_dict({"prompt": [prompt] * (samples * (a.steps + 1))}), callbacks=[Clock()],
        peft_config=LoraConfig(r=a.rank, lora_alpha=16, target_modules=modules, task_type="CAUSAL_LM"),
    )
    trainer.train()
    assert min(lengths) == a.max_new, "a completion that is too short"
    print(samples / statistics.median(times[1:]))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("work")
    ask.add_argument("--float", help="F16 or F32 GGUF for TRL")
    ask.add_argument("-m", action="append", default=[], help="GGUF for arklet")
    ask.add_argument("--prompts", type=int, default=2)
    ask.add_argument("--group", type=int, default=4)
    ask.add_argument("--max-new", type=int, default=128)
    ask.add_argument("--prompt-tokens", type=int, default=100)
    ask.add_argument("--rank", type=int, default=8)
    ask.add_argument("--steps", type=int, default=1)
    ask.add_argument("--turns", type=int, default=1)
    ask.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    ask.add_argument("--dtypes", default="float32")
    ask.add_argument("--no-checkpointing", action="store_true", help="TRL: more memory, less work")
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("--quiet", default="", help="a command that runs a command")
    ask.add_argument("--trl", help=argparse.SUPPRESS)  # this process is TRL's
    a = ask.parse_args()
    os.makedirs(a.work, exist_ok=True)
    if a.trl:
        return trl(a)
    if not a.float:
        ask.error("--float: the weights that TRL reads")
    copy_float(a)
    programs = [(f"arklet {os.path.basename(m)}", lambda m=m: arklet_turn(a, m)) for m in a.m]
    programs += [(f"TRL {d}", lambda d=d: trl_turn(a, d)) for d in a.dtypes.split(",") if d]
    found = {name: [] for name, _ in programs}
    for turn in range(a.turns):
        for name, measure in programs:
            found[name].append(measure())
            print(f"turn {turn + 1}: {name}: {found[name][-1][0]:.4g} samples/s, peak {found[name][-1][1]:.0f} MB", file=sys.stderr, flush=True)
    print(f"{a.prompts} prompts of {a.prompt_tokens} tokens x {a.group} samples of {a.max_new} tokens, LoRA {a.rank}, {a.threads} threads\n")
    print("| program | samples/s | peak MB |\n|---|---|---|")
    for name, rows in found.items():
        print(f"| {name} | {statistics.median(r[0] for r in rows):.4g} | {max(r[1] for r in rows):.0f} |")


if __name__ == "__main__":
    main()
