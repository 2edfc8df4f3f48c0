"""A small but really trained Llama-architecture model, for perplexities that mean something. Outside the repository.

    python3 tests/oracle/train_tiny.py OUT_DIR --text TEXT_FILE [--steps 600]
    python3 tests/oracle/train_tiny.py OUT_DIR --gsm8k ../shared/data/gsm8k

Writes OUT_DIR/tiny-f32.gguf and OUT_DIR/test.txt (the last tenth of the text, not trained on). All dims are multiples of
256, so that every quantised type applies to every matrix: dim 256, ffn 768, 4 layers, 4 heads on 2, head_dim 64, byte-level
BPE of 1024 tokens learnt from the text.
"""

import argparse
import glob
import json
import os
import time

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import gguf
import write_gguf
from tiny_tokenizers import SPLIT

VOCAB, LENGTH, BATCH = 1024, 128, 8


def learn_tokenizer(text):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT["qwen2"]), "isolated"),
                                                 pre_tokenizers.ByteLevel(False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator([text], trainers.BpeTrainer(vocab_size=VOCAB - 1, show_progress=False,
                            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.add_special_tokens(["<|endoftext|>"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]
    tokens = [tok.id_to_token(i) for i in range(VOCAB)]
    types = [gguf.TokenType.NORMAL] * (VOCAB - 1) + [gguf.TokenType.CONTROL]
    return tok, dict(kind="gpt2", pre="qwen2", tokens=tokens, types=types, scores=None, merges=merges, bos=VOCAB - 1,
                     eos=VOCAB - 1, add_bos=False)


def read_text(a):
    if a.text:
        return open(a.text, encoding="utf-8").read()
    records = []
    for path in sorted(glob.glob(os.path.join(a.gsm8k, "*train*.jsonl"))):
        records += [json.loads(line) for line in open(path, encoding="utf-8")]
    return "\n".join(f"Question: {r['question']}\nAnswer: {r['answer']}\n" for r in records)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("out")
    ask.add_argument("--text")
    ask.add_argument("--gsm8k")
    ask.add_argument("--steps", type=int, default=600)
    a = ask.parse_args()
    os.makedirs(a.out, exist_ok=True)
    text = read_text(a)
    cut = len(text) * 9 // 10
    open(os.path.join(a.out, "test.txt"), "w", encoding="utf-8").write(text[cut:][:120000])
    tok, form = learn_tokenizer(text[:cut])
    ids = torch.tensor(np.array(tok.encode(text[:cut]).ids, dtype=np.int64))
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
                         head_dim=64, vocab_size=VOCAB, max_position_embeddings=1024, tie_word_embeddings=False, rms_norm_eps=1e-5,
                         bos_token_id=VOCAB - 1, eos_token_id=VOCAB - 1)
    model = LlamaForCausalLM(config)
    optim = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
    plan = torch.optim.lr_scheduler.OneCycleLR(optim, 2e-3, total_steps=a.steps, pct_start=0.05)
    began = time.time()
    for step in range(a.steps):
        starts = torch.randint(0, len(ids) - LENGTH - 1, (BATCH,))
        batch = torch.stack([ids[s:s + LENGTH] for s in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        plan.step()
        if step % 50 == 0 or step == a.steps - 1:
            print(f"step {step} loss {loss.item():.3f} perplexity {loss.exp().item():.1f} after {time.time() - began:.0f} s", flush=True)
    weights = {k: v.detach().numpy() for k, v in sorted(model.state_dict().items())}
    write_gguf.convert(os.path.join(a.out, "tiny-f32.gguf"), config, weights, form, name="tiny trained model")


if __name__ == "__main__":
    main()
