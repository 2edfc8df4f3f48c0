"""Golden values of training: adapters by peft, and logits, losses, gradients and ten-step curves by torch.

    python3 tests/oracle/train_golden.py [NAME...]       fixtures/adapters/NAME and fixtures/golden/NAME.train
    python3 tests/oracle/train_golden.py --sensitivity   how far each plausible mistake moves what is compared

For each model of fixtures/models, in float64 (transformers takes norms and soft-max in float32 all the same; the first
comment of each file says how far plain float32 lands from it):

  adapter   rank 2 to 4 on all seven matrices, A and B given by seeds, saved by peft as it saves any adapter
  logits    three positions of the first sequence, with the adapter
  gradient  of loss = sum w nll / sum w over three sequences, for A and B of every matrix
  curve     ten steps over a batch of two sequences in turn: AdamW 0.9 0.999 1e-8, weight decay 0.01 (on all tensors of
            an adapter; on matrices and embeddings in full training), gradient norm clipped to 1, transformers' cosine
            schedule with warm-up
  full      the same loss and gradients of all weights, without an adapter, under GGUF names and in GGUF's row order

A gradient is written as: name, rows, columns, Euclidean norm, its products with two fixed vectors, six elements. The
vectors are pattern() below: a wrong element anywhere moves both products.
"""

import argparse
import json
import os
import shutil
import zlib

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

import write_gguf

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name -> rank, alpha, rslora
ADAPTERS = {
    "llama": (3, 6, False),
    "llama3": (2, 4, True),
    "qwen2": (4, 8, False),
    "qwen3": (3, 6, True),
    "gemma3": (2, 8, False),
    "gemma3-linear": (3, 4, False),
}
LENGTHS = [70, 24, 9]  # of the three sequences: more than a block of 64 keys, more than gemma's window, less
POSITIONS = [5, 33, 69]
STEPS, WARMUP, LR, DECAY, CLIP = 10, 0.2, 4e-3, 0.01, 1.0
FULL_LR = 1e-3


def generator(*words):
    return np.random.Generator(np.random.PCG64(zlib.crc32("/".join(words).encode())))


def pattern(n, which):
    """n values in -1..1: the top 24 bits of a multiplicative hash of the index."""
    at = (np.arange(n, dtype=np.uint64) + np.uint64(1 + 1000003 * which)) * np.uint64(0x9E3779B97F4A7C15)
    return (at >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1


def sequences(name):
    """Three sequences of ids and loss weights (quarters, zero on the first third: the prompt)."""
    draw = generator(name, "train")
    out = []
    for n in LENGTHS:
        ids = [int(i) for i in draw.integers(0, 300, n)]
        weights = [0.0 if t < max(1, n // 3) else 0.25 * int(draw.integers(0, 8)) for t in range(n)]
        out.append((ids, weights))
    return out


def load(name, dtype):
    folder = os.path.join(ROOT, "fixtures", "models", name)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")


def add_adapter(model, name):
    rank, alpha, rslora = ADAPTERS[name]
    config = LoraConfig(r=rank, lora_alpha=alpha, use_rslora=rslora, target_modules=MODULES, task_type="CAUSAL_LM", lora_dropout=0.0)
    model = get_peft_model(model, config, autocast_adapter_dtype=False)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" not in key:
                continue
            noise = generator(name, key).standard_normal(tuple(value.shape)).astype(np.float32)
            noise *= np.float32(1 / np.sqrt(value.shape[1]) if "lora_A" in key else 0.15)
            value.copy_(torch.from_numpy(noise))
    return model


def save_adapter(name):
    folder = os.path.join(ROOT, "fixtures", "adapters", name)
    shutil.rmtree(folder, ignore_errors=True)
    model = add_adapter(load(name, torch.float32), name)
    for config in model.peft_config.values():
        config.base_model_name_or_path = f"fixtures/models/{name}"
    model.save_pretrained(folder)
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["target_modules"].sort()  # a set: in any order
    json.dump(config, open(path, "w"), indent=1, sort_keys=True)
    os.chmod(os.path.join(folder, "adapter_model.safetensors"), 0o644)
    if os.path.exists(os.path.join(folder, "README.md")):
        os.remove(os.path.join(folder, "README.md"))


def loss_of(model, batch):
    total, weight = 0.0, 0.0
    for ids, weights in batch:
        logits = model(torch.tensor([ids])).logits[0].double()
        nll = -torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        w = torch.tensor(weights[1:], dtype=torch.float64)
        total, weight = total + (w * nll).sum(), weight + w.sum()
    return total / weight


def gradients(model, batch):
    model.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    return loss.item(), {k: p.grad.detach().double().numpy() for k, p in model.named_parameters() if p.grad is not None}


def describe(kind, name, grad):
    flat = grad.reshape(-1)
    picks = [flat[(i * 7919 + 17) % flat.size] for i in range(6)]
    rows, cols = (1, flat.size) if grad.ndim == 1 else grad.shape
    values = [np.linalg.norm(flat), flat @ pattern(flat.size, 0), flat @ pattern(flat.size, 1), *picks]
    return f"{kind} {name} {rows} {cols} " + " ".join(f"{v:.9g}" for v in values) + "\n"


def curve(model, batches, lr, groups):
    optim = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    schedule = get_cosine_schedule_with_warmup(optim, int(np.ceil(WARMUP * STEPS)), STEPS)
    rows = []
    for step in range(STEPS):
        model.zero_grad()
        loss = loss_of(model, batches[step % len(batches)])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], CLIP)
        rows.append((loss.item(), optim.param_groups[0]["lr"], float(norm)))
        optim.step()
        schedule.step()
    rows.append((loss_of(model, batches[0]).item(), 0.0, 0.0))
    return rows


def lora_group(model):
    return [{"params": [p for k, p in model.named_parameters() if p.requires_grad], "weight_decay": DECAY}]


def full_groups(model):
    """As Trainer groups them: no decay for norms and biases."""
    vectors = [p for p in model.parameters() if p.ndim == 1]
    return [{"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]


def gguf_gradient(key, grad, config):
    """A weight's gradient under its GGUF name, rows as the GGUF has them."""
    arch = write_gguf.ARCH[config.model_type]
    for part, heads in ("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads):
        if arch == "llama" and part in key:
            grad = write_gguf.permute(grad, heads)
    return write_gguf.gguf_name(key, arch), grad


def put_curve(out, kind, rows):
    for step, (loss, lr, norm) in enumerate(rows):
        out.write(f"{kind} {step} {loss:.9g} {lr:.9g} {norm:.9g}\n")


def relative(a, b):
    return max(np.linalg.norm(a[k] - b[k]) / np.linalg.norm(b[k]) for k in b)


def put_sequences(out, batch):
    out.write(f"sequences {len(batch)}\n")
    for ids, weights in batch:
        out.write(f"ids {len(ids)} " + " ".join(map(str, ids)) + "\n")
        out.write(f"weights {len(ids)} " + " ".join(f"{w:g}" for w in weights) + "\n")


def golden(name):
    batch = sequences(name)
    turns = [batch[:2], [batch[2], batch[1]]]
    model = add_adapter(load(name, torch.float64), name)
    loss, grads = gradients(model, batch)
    loss32, grads32 = gradients(add_adapter(load(name, torch.float32), name), batch)
    with torch.no_grad():
        logits = model(torch.tensor([batch[0][0]])).logits[0].numpy()
    rows = curve(model, turns, LR, lora_group(model))
    base = load(name, torch.float64)
    full_loss, full = gradients(base, batch)
    full_rows = curve(base, turns, FULL_LR, full_groups(base))
    gap, loss_gap = relative(grads32, grads), abs(loss32 - loss)
    with open(os.path.join(ROOT, "fixtures", "golden", f"{name}.train"), "w") as out:
        out.write(f"# {name}: transformers and peft in float64; plain float32 moves a gradient by at most {gap:.2g} of its norm, the loss by {loss_gap:.2g}\n")
        put_sequences(out, batch)
        out.write(f"logits {len(POSITIONS)} {logits.shape[1]}\n")
        for pos in POSITIONS:
            out.write(f"position {pos}\n" + " ".join(f"{v:.9g}" for v in logits[pos]) + "\n")
        out.write(f"loss {loss:.12g}\n")
        for key in sorted(grads):
            out.write(describe("gradient", key.replace(".default.", "."), grads[key]))
        out.write(f"options {STEPS} {WARMUP:g} {LR:g} {FULL_LR:g} {DECAY:g} {CLIP:g}\n")
        put_curve(out, "curve", rows)
        out.write(f"full_loss {full_loss:.12g}\n")
        for key in sorted(full):
            out.write(describe("full", *gguf_gradient(key, full[key], base.config)))
        put_curve(out, "full_curve", full_rows)
    print(f"{name:14s} loss {loss:.6f} (float32 {loss_gap:.1e}) gradients float32 {gap:.1e}; curve "
          f"{rows[0][0]:.4f} -> {rows[-1][0]:.4f}, norms {min(r[2] for r in rows[:-1]):.2f}..{max(r[2] for r in rows):.2f}; "
          f"full {full_rows[0][0]:.4f} -> {full_rows[-1][0]:.4f}", flush=True)


def mistakes(name):
    """What a trainer could plausibly get wrong: name, and the gradients and curve it would give."""
    batch = sequences(name)
    turns = [batch[:2], [batch[2], batch[1]]]
    right = add_adapter(load(name, torch.float64), name)
    _, want = gradients(right, batch)
    rows = curve(right, turns, LR, lora_group(right))

    def compare(what, wrong_batch=None, change=None, groups=None, lr=LR):
        model = add_adapter(load(name, torch.float64), name)
        if change:
            change(model)
        _, got = gradients(model, wrong_batch or batch)
        moved = curve(model, turns, lr, groups(model) if groups else lora_group(model))
        print(f"{name:14s} {what:26s} gradients {relative(got, want):.1e}  curve {max(abs(a[0] - b[0]) for a, b in zip(moved, rows)):.1e}", flush=True)

    def scale(model):
        for module in model.modules():
            if isinstance(getattr(module, "scaling", None), dict):
                module.scaling["default"] *= 1.01

    swapped = [(ids, [1.0 if w else 0.0 for w in weights]) for ids, weights in batch]
    compare("weights ignored", swapped)
    compare("loss on the prompt too", [(ids, [w or 0.25 for w in weights]) for ids, weights in batch])
    compare("scale 1 % off", change=scale)
    compare("no weight decay", groups=lambda m: [{"params": [p for p in m.parameters() if p.requires_grad], "weight_decay": 0.0}])
    compare("learning rate 1 % off", lr=LR * 1.01)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=list(ADAPTERS))
    ask.add_argument("--sensitivity", action="store_true")
    a = ask.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name in a.names:
        if a.sensitivity:
            mistakes(name)
            continue
        save_adapter(name)
        golden(name)


if __name__ == "__main__":
    main()
