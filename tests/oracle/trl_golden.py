"""Golden values of the policy losses of reinforcement: TRL's own GRPOTrainer on given log-probabilities.

    python3 tests/oracle/trl_golden.py             fixtures/golden/grpo_loss.jsonl
    python3 tests/oracle/trl_golden.py --describe  what each case has: masked tokens, clipped ones, the KL's part of the loss

A real trainer is built for each case on the small model of fixtures/models/qwen2; its function that runs the model is
replaced by one that hands out given log-probabilities, a leaf of the graph, and its _compute_loss is called. In float64:
the loss, its gradient with respect to each log-probability, and the metrics kl and clip_ratio/region_mean.

A batch is two groups of four samples of 1 to 12 tokens; policy, sampler and reference differ by up to half a nat, so that
ratios lie below, inside and above the clip on both signs of the advantage. Truncated samples are masked as TRL masks
them: their completion_mask is 0, they still count in the batch's size. Advantages are one a sample or one a token.
"""

import argparse
import json
import os
import tempfile
import zlib

import numpy as np
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "fixtures", "models", "qwen2")
LENGTHS = [12, 7, 1, 9, 4, 12, 2, 12]
MAX_NEW = 12
GROUP = 4
# ours, TRL's
LOSSES = [("sample", "grpo"), ("constant", "dr_grpo"), ("dapo", "dapo")]
# masked samples, clip below, clip above, KL, the KL times the ratio, advantages of tokens
VARIANTS = [
    ([], 0.2, 0.28, 0.0, False, False),
    ([0, 5], 0.2, 0.28, 0.04, False, False),
    ([0, 5], 0.2, 0.28, 0.04, True, False),
    ([7], 0.1, 0.1, 0.5, False, True),
    ([0, 2, 5, 7], 0.3, 0.05, 0.1, True, True),
]


def batch(seed):
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(f"grpo_loss/{seed}".encode())))
    shape = (len(LENGTHS), MAX_NEW)
    logp = -draw.gamma(1.5, 0.8, shape)
    old = np.minimum(logp + draw.uniform(-0.5, 0.5, shape), -0.001)
    reference = np.minimum(logp + draw.uniform(-0.5, 0.5, shape), -0.001)
    sample, token = draw.standard_normal(shape[0]), draw.standard_normal(shape)
    return [a.astype(np.float32).astype(np.float64) for a in (logp, old, reference, sample, token)]  # as they are stored


def trainer_of(loss, low, high, beta, corrected, folder):
    args = GRPOConfig(
        output_dir=folder, loss_type=loss, beta=beta, use_bias_correction_kl=corrected, epsilon=low, epsilon_high=high, max_completion_length=MAX_NEW,
        per_device_train_batch_size=len(LENGTHS), num_generations=GROUP, gradient_accumulation_steps=1,
        mask_truncated_completions=True, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True, gradient_checkpointing=False,
    )
    questions = Dataset.from_dict({"prompt": ["1 + 1 = "] * len(LENGTHS)})
    return GRPOTrainer(model=MODEL, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=args, train_dataset=questions)


def oracle(trainer, logp, old, reference, advantages, mask):
    leaf = torch.tensor(logp, requires_grad=True)
    given = (leaf, torch.zeros_like(leaf), None)
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: given
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    ids = torch.zeros(mask.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": torch.tensor(mask),
        "advantages": torch.tensor(advantages), "old_per_token_logps": torch.tensor(old),
        "ref_per_token_logps": torch.tensor(reference), "num_items_in_batch": torch.tensor(mask).sum(),
    }
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    metrics = trainer._metrics["train"]
    return loss.item(), leaf.grad.numpy(), metrics.get("kl", [0.0])[-1], metrics["clip_ratio/region_mean"][-1]


def cases():
    with tempfile.TemporaryDirectory() as folder:
        for ours, theirs in LOSSES:
            for seed, (masked, low, high, beta, corrected, by_token) in enumerate(VARIANTS):
                logp, old, reference, sample, token = batch(seed)
                mask = np.array([[int(t < n and i not in masked) for t in range(MAX_NEW)] for i, n in enumerate(LENGTHS)])
                trainer = trainer_of(theirs, low, high, beta, corrected, folder)
                advantages = token if by_token else sample
                value, gradient, kl, clipped = oracle(trainer, logp, old, reference, advantages, mask)
                rows = token if by_token else np.repeat(sample[:, None], MAX_NEW, 1)
                yield {
                    "loss": ours, "clip_eps": low, "clip_eps_high": high, "kl_beta": beta, "kl_corrected": corrected,
                    "max_new": MAX_NEW,
                    "samples": [
                        {"masked": i in masked, "advantage": rows[i, :n], "logp": logp[i, :n], "old": old[i, :n],
                         "reference": reference[i, :n], "gradient": gradient[i, :n]}
                        for i, n in enumerate(LENGTHS)
                    ],
                    "value": value, "kl": kl, "clipped": clipped,
                }


def plain(value):
    if isinstance(value, np.ndarray):
        return [float(f"{v:.12g}") for v in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


def write(path):
    with open(path, "w") as out:
        for case in cases():
            case["samples"] = [{k: plain(v) for k, v in s.items()} for s in case["samples"]]
            out.write(json.dumps({k: plain(v) for k, v in case.items()}) + "\n")
            print(f"{case['loss']:9s} beta {case['kl_beta']:<6g} loss {case['value']:+.6f} kl {case['kl']:.4f} clipped {case['clipped']:.3f}")


def describe(path):
    for line in open(path):
        case = json.loads(line)
        kept = [s for s in case["samples"] if not s["masked"]]
        tokens = sum(len(s["logp"]) for s in kept)
        print(f"{case['loss']:9s} beta {case['kl_beta']:<6g} masked {8 - len(kept)}: tokens {tokens} of {sum(LENGTHS)}; "
              f"KL part {case['kl'] * case['kl_beta'] / abs(case['value']):.2g} of the loss; "
              f"clipped tokens {round(case['clipped'] * tokens)}; largest gradient {max(abs(g) for s in kept for g in s['gradient']):.3g}")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--describe", action="store_true")
    path = os.path.join(ROOT, "fixtures", "golden", "grpo_loss.jsonl")
    if ask.parse_args().describe:
        describe(path)
    else:
        write(path)


if __name__ == "__main__":
    main()
