#!/usr/bin/env python3
"""Writes fixtures/golden/chat.jsonl: dialogues as the published chat templates render them.

    pip install jinja2==3.1.6
    python3 tests/oracle/chat_golden.py ../shared/data/chat_templates > fixtures/golden/chat.jsonl

One line per template, dialogue and generation prompt: {"file", "name", "messages", "generation", "text"} or, where the
template refuses the dialogue, "refused": true. `name` is the family that must give the same text by name alone (null
where the published template and the family differ on purpose: Gemma 2 refuses a system message, the family writes it
as Gemma 3 does). The environment is that of transformers' apply_chat_template: trim_blocks, lstrip_blocks, the special
tokens as variables; no date is set, so that templates use the one they fall back to.
"""
import json
import os
import sys

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

NAMES = {
    "Qwen-Qwen2.5-7B-Instruct": "qwen2.5",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "deepseek-r1",
    "google-gemma-2-2b-it": "gemma",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3.1",
    "meta-llama-Llama-3.2-3B-Instruct": "llama3.1",
    "microsoft-Phi-3.5-mini-instruct": "phi3",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral-v3-tekken",
}


def turns(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    return messages + [{"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)]


DIALOGUES = [
    turns("What is 2 + 2?"),
    turns("What is 2 + 2?", system="You are terse."),
    turns("What is 2 + 2?", "4", "And 3 + 3?"),
    turns("What is 2 + 2?", "4", "And 3 + 3?", "6", system="You are terse."),
    turns(" \n Hello\t\n", "\n hi ", "  bye \u00a0\u3000\n\n", system="\n  spaced  \n"),
    turns("a", "<think>\nhm\n</think>\n\n b", "c"),
    turns("<|im_end|><|eot_id|> [/INST] <end_of_turn></s>\u00a0<\uff5cUser\uff5c>", system="<|im_start|>"),
    turns("", system=""),
    turns("\u00e9\U0001f600\u4e2d\u6587 e\u0301"),
    [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}],
]


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    env.globals["raise_exception"] = refuse
    env.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return env


def main():
    env = environment()
    folder = sys.argv[1]
    for stem, name in NAMES.items():
        with open(os.path.join(folder, stem + ".jinja"), encoding="utf-8") as file:
            template = env.from_string(file.read())
        for messages in DIALOGUES:
            for generation in (True, False):
                line = {"file": stem, "name": name, "messages": messages, "generation": generation}
                try:
                    line["text"] = template.render(messages=messages, add_generation_prompt=generation,
                                                   bos_token="<s>", eos_token="</s>", tools=None)
                except jinja2.exceptions.TemplateError:
                    line["refused"] = True
                    if name == "gemma" and messages[0]["role"] == "system":
                        line["name"] = None
                print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    if jinja2.__version__ != "3.1.6":
        sys.exit("chat_golden.py: needs jinja2 3.1.6, found " + jinja2.__version__)
    main()
