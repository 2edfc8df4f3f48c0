"""Small random models of every family, as GGUF and as Hugging Face folder, with golden logits.

    python3 tests/oracle/make_models.py                  fixtures/models/* and fixtures/golden/*.logits
    python3 tests/oracle/make_models.py --wide DIR       the same families with dims that are multiples of 256, into DIR
    python3 tests/oracle/make_models.py --sensitivity    how far each plausible mistake moves the golden logits
    python3 tests/oracle/make_models.py --check          loads every GGUF into llama.cpp and compares its logits

Everything follows from the names and seeds below: the files come out the same bytes every time with the versions of
requirements.txt. Weights are rounded to bfloat16, and to float16's range, so that F32, BF16
and F16 files hold exactly the same model.
Their scale is chosen so that attention is peaked, logits spread over several units, and a mistake anywhere (a head
swapped, a norm left out, a wrong rope frequency) moves the logits by far more than the test's tolerance.
"""

import argparse
import json
import os
import shutil
import zlib

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

import tiny_tokenizers
import write_gguf

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
N_IDS = 24
POSITIONS = [0, 1, 6, 9, 16, 23]

ROPE = dict(rope_type="default", rope_theta=10000.0)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
LOCAL = dict(rope_type="default", rope_theta=10000.0)


def gemma_rope(scaling):
    return dict(full_attention=dict(rope_theta=1e6, **scaling), sliding_attention=LOCAL)


def shape(dim, ffn, layers, heads, kv, head_dim, tied, **more):
    return dict(hidden_size=dim, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
                num_key_value_heads=kv, head_dim=head_dim, tie_word_embeddings=tied, vocab_size=tiny_tokenizers.VOCAB,
                max_position_embeddings=256, **more)


# name -> (configuration class, tokenizer, shape, form of config.json, dtype and shard size of the safetensors).
# `old` is the config.json of the published models (rope_theta, rope_scaling, torch_dtype), `new` that of transformers 5.
SMALL = {
    "llama": (LlamaConfig, "llama", shape(36, 76, 2, 6, 2, 6, False, rope_parameters=ROPE, rms_norm_eps=1e-5), "old", "bf16", None),
    "llama3": (LlamaConfig, "llama3", shape(40, 60, 2, 4, 2, 16, True, rope_parameters=LLAMA3, rms_norm_eps=1e-5), "old", "f32", "50KB"),
    "qwen2": (Qwen2Config, "qwen", shape(56, 60, 2, 7, 1, 8, True, rope_parameters=dict(ROPE, rope_theta=1e6), rms_norm_eps=1e-6),
              "old", "bf16", None),
    "qwen3": (Qwen3Config, "qwen", shape(40, 52, 3, 4, 2, 12, True, rope_parameters=dict(ROPE, rope_theta=1e6), rms_norm_eps=1e-6),
              "new", "bf16", None),
    "gemma3": (Gemma3TextConfig, "gemma", shape(28, 28, 7, 4, 1, 16, True, sliding_window=8, query_pre_attn_scalar=16,
               rope_parameters=gemma_rope(dict(rope_type="default"))), "old", "bf16", None),
    "gemma3-linear": (Gemma3TextConfig, "gemma", shape(20, 36, 7, 4, 2, 8, True, sliding_window=8, query_pre_attn_scalar=8,
                      rope_parameters=gemma_rope(dict(rope_type="linear", factor=8.0))), "new", "f16", None),
}
WIDE = {
    "llama": dict(hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=64),
    "gemma3": dict(hidden_size=256, intermediate_size=512, num_hidden_layers=7, num_attention_heads=2, num_key_value_heads=1,
                   head_dim=128, query_pre_attn_scalar=128),
}
# llama.cpp looks GELU up in a table of f16 values, which costs gemma3 three digits (measured 8.8e-4; the others 3.2e-6).
LLAMA_CPP_BOUND = {"gemma3": 3e-3, "llama": 1e-5}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def random_weights(model, name):
    """Gaussian weights, one generator per tensor: norms near their neutral value, matrices of gain 1.2 to 2.5."""
    for key, value in model.state_dict().items():
        draw = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/{key}".encode())))
        noise = draw.standard_normal(tuple(value.shape), dtype=np.float32)
        if key.endswith("norm.weight"):
            neutral = 0.0 if "gemma3" in name else 1.0
            noise = neutral + 0.25 * noise
        elif key.endswith("bias"):
            noise *= 0.5
        elif "embed_tokens" in key:
            noise *= 0.7 if "gemma3" not in name else 0.7 / np.sqrt(value.shape[1])
        else:
            gain = 2.0 if "q_proj" in key or "k_proj" in key else 1.0
            noise *= gain / np.sqrt(value.shape[1])
        data = torch.from_numpy(noise).to(torch.bfloat16).to(torch.float32)
        value.copy_(data.to(torch.float16).to(torch.float32))  # also exact in f16: tiny values lose bits once, here


def old_style(config):
    """config.json as the published checkpoints of the family have it."""
    rope = config.pop("rope_parameters")
    config.pop("layer_types", None)
    config["torch_dtype"] = config.pop("dtype", "bfloat16")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 6)
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    return config


def write_folder(folder, model, tok, form, dtype, shard):
    """A Hugging Face folder: config.json, one or more safetensors (with their index), tokenizer.json."""
    shutil.rmtree(folder, ignore_errors=True)
    model.to(DTYPES[dtype]).save_pretrained(folder, max_shard_size=shard or "1GB")
    model.to(torch.float32)
    path = os.path.join(folder, "config.json")
    config = json.load(open(path))
    if form == "old":
        config = old_style(config)
    config.pop("transformers_version", None)
    json.dump(config, open(path, "w"), indent=1, sort_keys=True)
    if os.path.exists(os.path.join(folder, "generation_config.json")):
        os.remove(os.path.join(folder, "generation_config.json"))
    open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8").write(tok["json"] + "\n")
    about = dict(add_bos_token=tok["add_bos"], bos_token=tok["tokens"][tok["bos"]], eos_token=tok["tokens"][tok["eos"]],
                 tokenizer_class="PreTrainedTokenizerFast")
    json.dump(about, open(os.path.join(folder, "tokenizer_config.json"), "w"), indent=1)


def folder_weights(folder):
    files = sorted(f for f in os.listdir(folder) if f.endswith(".safetensors"))
    merged = {}
    for f in files:
        merged.update(load_file(os.path.join(folder, f)))
    return {k: v.to(torch.float32).numpy() for k, v in sorted(merged.items())}


def token_ids(name):
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/ids".encode())))
    return [int(i) for i in draw.integers(0, tiny_tokenizers.VOCAB, N_IDS)]


def logits_of(folder, ids, dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].to(torch.float64).numpy(), model


def write_golden(path, name, folder):
    ids = token_ids(name)
    f32, model = logits_of(folder, ids, torch.float32)
    f64, _ = logits_of(folder, ids, torch.float64)
    gap = np.abs(f32 - f64).max() / np.abs(f32).max()
    with open(path, "w") as out:
        out.write(f"# {name}: transformers, float32, eager attention, all {N_IDS} ids in one pass\n")
        out.write(f"# largest |logit| {np.abs(f32).max():.4g}; float64 weights and products move a logit by at most {gap:.2g} of it\n")
        out.write(f"ids {N_IDS} " + " ".join(map(str, ids)) + "\n")
        out.write(f"logits {len(POSITIONS)} {f32.shape[1]}\n")
        for pos in POSITIONS:
            out.write(f"position {pos}\n" + " ".join(f"{v:.9g}" for v in f32[pos].astype(np.float32)) + "\n")
    print(f"{name:14s} params {sum(p.numel() for p in model.parameters()):7d}  max|logit| {np.abs(f32).max():7.3f}  f32-f64 {gap:.1e}")


def make(name, out, wide=False):
    kind, family, dims, form, dtype, shard = SMALL[name]
    tok = tiny_tokenizers.build(family)
    if wide:
        dims = {**dims, **WIDE["gemma3" if "gemma3" in name else "llama"]}
    dims = {k: v for k, v in dims.items() if not (kind is Qwen2Config and k == "head_dim")}
    config = kind(**dims, bos_token_id=tok["bos"], eos_token_id=tok["eos"], pad_token_id=None)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        random_weights(model, name)
    model.tie_weights()
    folder = os.path.join(out, "models", name)
    write_folder(folder, model, tok, form, dtype, shard)
    gguf_path = os.path.join(out, "models", name, "model.gguf")
    write_gguf.convert(gguf_path, config, folder_weights(folder), tok, gguf.GGMLQuantizationType.F32, f"arklet-{name}")
    os.makedirs(os.path.join(out, "golden"), exist_ok=True)
    write_golden(os.path.join(out, "golden", f"{name}.logits"), name, folder)


def read_golden(path):
    ids, rows = None, {}
    lines = [line.split() for line in open(path) if not line.startswith("#")]
    for i, words in enumerate(lines):
        if words[0] == "ids":
            ids = [int(w) for w in words[2:]]
        if words[0] == "position":
            rows[int(words[1])] = np.array([float(w) for w in lines[i + 1]])
    return ids, rows


def check(name, out):
    """llama.cpp on the GGUF against the golden logits: proves that the conversion means what it should."""
    import llama_cpp

    ids, rows = read_golden(os.path.join(out, "golden", f"{name}.logits"))
    llm = llama_cpp.Llama(os.path.join(out, "models", name, "model.gguf"), n_ctx=64, logits_all=True, type_k=0, type_v=0,
                          flash_attn=False, n_threads=1, verbose=False)
    llm.eval(ids)
    worst = max(np.abs(llm.scores[p] - want).max() / np.abs(want).max() for p, want in rows.items())
    text = "Ann has 12 apples.\n\nThen she gives 5 away; \u00fc\u65e5"
    theirs = llm.tokenize(text.encode(), add_bos=True, special=False)
    from tokenizers import Tokenizer
    ours = Tokenizer.from_file(os.path.join(out, "models", name, "tokenizer.json")).encode(text).ids
    print(f"{name:14s} llama.cpp against transformers: {worst:.1e} of the largest logit; tokenizer.json "
          f"{'equal' if theirs == ours else 'DIFFERS'}")
    return worst < LLAMA_CPP_BOUND["gemma3" if "gemma3" in name else "llama"] and theirs == ours


def mistakes(config):
    """Wrong readings of a configuration that an engine could plausibly make."""
    rope = config.rope_parameters
    inner = rope.get("full_attention", rope)
    yield "rope base", lambda c: c.rope_parameters.get("full_attention", c.rope_parameters).update(rope_theta=2e4)
    yield "norm epsilon", lambda c: setattr(c, "rms_norm_eps", 1e-3)
    if inner["rope_type"] != "default":
        yield "rope scaling", lambda c: c.rope_parameters.get("full_attention", c.rope_parameters).update(factor=inner["factor"] * 1.1)
    if "sliding_attention" in rope:
        yield "window 9", lambda c: setattr(c, "sliding_window", 9)
        yield "local rope base", lambda c: c.rope_parameters["sliding_attention"].update(rope_theta=1e6)
        yield "all local", lambda c: setattr(c, "layer_types", ["sliding_attention"] * 7)
        yield "exact gelu", lambda c: setattr(c, "hidden_activation", "gelu")


def sensitivity(name, out):
    folder = os.path.join(out, "models", name)
    ids, rows = read_golden(os.path.join(out, "golden", f"{name}.logits"))
    weights = {k: torch.from_numpy(v) for k, v in folder_weights(folder).items()}
    right = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).config
    for what, spoil in mistakes(right):
        config = type(right).from_dict(right.to_dict())
        spoil(config)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        model.load_state_dict(weights, strict=False)
        model.tie_weights()
        with torch.no_grad():
            wrong = model(torch.tensor([ids])).logits[0].double().numpy()
        moved = max(np.abs(wrong[p] - v).max() / np.abs(v).max() for p, v in rows.items())
        print(f"{name:14s} {what:16s} moves a logit by {moved:.1e}")


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=list(SMALL))
    ask.add_argument("--out", default=os.path.join(ROOT, "fixtures"))
    ask.add_argument("--wide", metavar="DIR")
    ask.add_argument("--check", action="store_true")
    ask.add_argument("--sensitivity", action="store_true")
    a = ask.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    out = a.wide or a.out
    if a.check:
        raise SystemExit(0 if all([check(n, out) for n in a.names]) else 1)
    for name in a.names:
        if a.sensitivity:
            sensitivity(name, out)
            continue
        make(name, out, bool(a.wide))


if __name__ == "__main__":
    main()
