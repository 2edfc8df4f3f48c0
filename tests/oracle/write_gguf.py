"""Hugging Face weights and tokenizer to GGUF, for the four families, by the rules that llama.cpp's readers rely on.

The rules (llama.cpp, conversion/*.py, read as a specification):
  names     model.layers.N.self_attn.q_proj -> blk.N.attn_q, ... (NAMES below); a tied head has no output.weight
  llama     the rows of q and k are reordered per head from (two halves) to (adjacent pairs)
  gemma3    1 is added to every norm weight
  llama3    rope scaling becomes a tensor rope_freqs.weight of head_dim/2 divisors
  types     vectors stay F32; matrices take the type asked for
"""

import math

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# post_attention_layernorm is the norm before the feed-forward part in llama and qwen, and a norm of its own in gemma3.
NORMS = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "gemma3": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
}
ARCH = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3_text": "gemma3"}


def gguf_name(name, arch):
    if name in NAMES:
        return NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    stem, suffix = rest.rsplit(".", 1)
    table = {**NAMES, **NORMS["gemma3" if arch == "gemma3" else "llama"]}
    return f"blk.{layer}.{table[stem]}.{suffix}"


def permute(weight, heads):
    """Rows of each head: element i of the first half and element i of the second become rows 2i and 2i + 1."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def llama3_divisors(rope, head_dim):
    """Llama 3.1's scaling as divisors of the inverse frequencies (transformers, _compute_llama3_parameters)."""
    old, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    out = []
    for i in range(0, head_dim, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        if wave < old / high:
            out.append(1.0)
        elif wave > old / low:
            out.append(rope["factor"])
        else:
            smooth = (old / wave - low) / (high - low)
            out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def add_tokenizer(writer, tok):
    writer.add_tokenizer_model(tok["kind"])
    writer.add_tokenizer_pre(tok["pre"])
    writer.add_token_list(tok["tokens"])
    if tok["scores"]:
        writer.add_token_scores(tok["scores"])
    writer.add_token_types(tok["types"])
    if tok["merges"]:
        writer.add_token_merges(tok["merges"])
    writer.add_bos_token_id(tok["bos"])
    writer.add_eos_token_id(tok["eos"])
    if "unk" in tok:
        writer.add_unk_token_id(tok["unk"])
        writer.add_add_space_prefix(tok["add_prefix"])
    writer.add_add_bos_token(tok["add_bos"])


def add_config(writer, arch, config):
    """The keys of formats.md section 3 from a transformers configuration (version 5: config.rope_parameters)."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if arch != "qwen2":  # qwen2 files leave these to their default, dim / heads
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if arch == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, head_dim))


def convert(path, config, weights, tok, matrix_type=gguf.GGMLQuantizationType.F32, name="tiny"):
    """Writes `weights` (name -> float32 array, transformers' names) as a GGUF of the family that `config` says."""
    arch = ARCH[config.model_type]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(name)
    ftype = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16, "BF16": gguf.LlamaFileType.MOSTLY_BF16}
    writer.add_file_type(ftype[matrix_type.name])
    add_config(writer, arch, config)
    add_tokenizer(writer, tok)
    for key, value in weights.items():
        value = np.asarray(value, dtype=np.float32)
        if arch == "llama" and "q_proj" in key:
            value = permute(value, config.num_attention_heads)
        if arch == "llama" and "k_proj" in key:
            value = permute(value, config.num_key_value_heads)
        if arch == "gemma3" and key.endswith("norm.weight"):
            value = value + 1
        kind = matrix_type if value.ndim > 1 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(value, kind)
        raw = kind if kind.name == "BF16" else None
        writer.add_tensor(gguf_name(key, arch), np.ascontiguousarray(data), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
