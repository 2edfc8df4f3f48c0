"""Tiny but complete tokenizers of 300 entries, in both of the forms that models are published in.

Every builder returns a dictionary

    kind      "gpt2" (byte-level BPE) or "llama" (SentencePiece with byte fallback), the GGUF's word for it
    pre       the name of the split (byte-level BPE only)
    tokens    300 strings, as a GGUF stores them
    types     300 of gguf.TokenType
    scores    300 floats (SentencePiece only)
    merges    ["a b", ...] (byte-level BPE only)
    bos eos   ids; add_bos, add_prefix whether encoding starts with BOS / puts a space before the first word
    json      the text of tokenizer.json, which the `tokenizers` library reads back to the same ids
"""

import json

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

VOCAB = 300
TEXT = """Ann has 12 apples and gives 5 apples to Ben. How many apples does Ann have now?
Step 1: Ann starts with 12 apples. Step 2: She gives away 5, so 12 - 5 = 7. The answer is 7.
Ben thinks the answer is 8, but the other agents show that it is 7. Then Ben changes his answer.
There are 3 shelves with 4 books each, and then there are 3 * 4 = 12 books in the room."""

SPLIT = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_level(pre, specials, bos, eos, add_bos):
    """Byte-level BPE: 256 bytes, merges learnt from TEXT, then the special tokens, as Llama 3 and Qwen order them."""
    split = [pre_tokenizers.Split(Regex(SPLIT[pre]), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(split)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(specials), initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator([TEXT], trainer)
    tok.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tok.normalizer = normalizers.NFC()
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if add_bos:
        tok.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A {bos} $B", [(bos, tok.token_to_id(bos))])
    tokens = [tok.id_to_token(i) for i in range(tok.get_vocab_size())]
    assert len(tokens) == VOCAB, len(tokens)
    types = [gguf.TokenType.CONTROL if t in specials else gguf.TokenType.NORMAL for t in tokens]
    form = json.loads(tok.to_str())
    form["model"]["ignore_merges"] = pre == "llama-bpe"  # as Llama 3's published file: a whole word in the vocabulary wins
    merges = [m if isinstance(m, str) else " ".join(m) for m in form["model"]["merges"]]
    return dict(kind="gpt2", pre=pre, tokens=tokens, types=types, scores=None, merges=merges, bos=tokens.index(bos),
                eos=tokens.index(eos), add_bos=add_bos, add_prefix=False, json=json.dumps(form, ensure_ascii=False))


def sentencepiece(specials, bos, eos, unk, add_prefix):
    """SentencePiece BPE with byte fallback: special tokens, 256 bytes, then pieces whose score is minus their rank.

    tokenizer.json says the same thing as a BPE with every split of a piece into two known pieces as a merge, ordered
    by the piece's rank, which is how the published Llama 2 and Gemma files do it.
    """
    learn = Tokenizer(models.BPE())
    learn.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    room = VOCAB - len(specials) - 256
    chars = list("\u2581aeinorsth0123456789.=")
    learn.train_from_iterator([TEXT.lower()], trainers.BpeTrainer(
        vocab_size=room, initial_alphabet=chars, limit_alphabet=len(chars), show_progress=False))
    learnt = json.loads(learn.to_str())["model"]["vocab"]
    ordered = [t for t, _ in sorted(learnt.items(), key=lambda item: item[1])]
    pieces = [t for t in ordered if len(t) > 1] + [t for t in ordered if len(t) == 1]
    assert len(pieces) == room, (len(pieces), room)
    tokens = specials + [f"<0x{b:02X}>" for b in range(256)] + pieces
    vocab = {t: i for i, t in enumerate(tokens)}
    first = len(specials) + 256
    scores = [0.0] * first + [-float(i) for i in range(room)]
    types = [gguf.TokenType.UNKNOWN if t == unk else gguf.TokenType.CONTROL for t in specials]
    types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * room
    merges = [(p[:k], p[k:]) for p in pieces for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=unk, fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "\u2581")
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), replace]) if add_prefix else replace
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    tok.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if add_prefix else []))
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    tok.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A {bos} $B", [(bos, vocab[bos])])
    return dict(kind="llama", pre="default", tokens=tokens, types=types, scores=scores, merges=None, bos=vocab[bos],
                eos=vocab[eos], unk=vocab[unk], add_bos=True, add_prefix=add_prefix, json=json.dumps(json.loads(tok.to_str()), ensure_ascii=False))


LLAMA3_SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
QWEN_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def build(family):
    """The tokenizer that models of `family` (llama, llama3, qwen, gemma) come with, in miniature."""
    if family == "llama":
        return sentencepiece(["<unk>", "<s>", "</s>"], "<s>", "</s>", "<unk>", True)
    if family == "gemma":
        specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
        return sentencepiece(specials, "<bos>", "<eos>", "<unk>", False)
    if family == "llama3":
        return byte_level("llama-bpe", LLAMA3_SPECIALS, "<|begin_of_text|>", "<|eot_id|>", True)
    return byte_level("qwen2", QWEN_SPECIALS, "<|endoftext|>", "<|im_end|>", False)
