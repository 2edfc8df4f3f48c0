/* chat_family.c - the families: what their templates are recognised by, and a template for use by name.
 *
 * Order matters where one family's markers are part of another's. The templates give the same text as the published
 * ones for system, user and assistant messages (tests/oracle/chat_golden.py compares them); tools and other parts are
 * left out. Names follow llama.cpp where it has one. Not formatted by tool: the lines are those of the templates. */
#include "chat_family.h"
#include <stddef.h>

/* clang-format off */

#define FOR_EACH "{% for m in messages %}"
#define END_FOR  "{% endfor %}"
#define IF_OPEN  "{% if add_generation_prompt %}"
#define END_IF   "{% endif %}"

/* Splits the dialogue into `system` (none when there is no such message) and `rest`. */
#define TAKE_SYSTEM \
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}" \
    "{% else %}{% set system = none %}{% set rest = messages %}{% endif %}"

#define MUST_ALTERNATE \
    "{% for m in rest %}{% if m.role != ('user' if loop.index0 % 2 == 0 else 'assistant') %}" \
    "{{ raise_exception('expected the roles user and assistant in turn') }}{% endif %}{% endfor %}"

#define CHATML \
    FOR_EACH "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}" END_FOR \
    IF_OPEN "{{ '<|im_start|>assistant\n' }}" END_IF

#define CHATML_WITH(system) \
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\n" system "<|im_end|>\n' }}{% endif %}" CHATML

/* Thoughts of answers before the last question are dropped, later ones kept. */
#define QWEN3 \
    "{% set ns = namespace(last=-1) %}" \
    FOR_EACH "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}" END_FOR \
    FOR_EACH "{% set content = m.content %}{% set thought = '' %}" \
    "{% if m.role == 'assistant' and '</think>' in content %}" \
    "{% set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}" \
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}" \
    "{% if m.role == 'assistant' and loop.index0 > ns.last and (loop.last or thought) %}" \
    "{% set content = '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') %}{% endif %}" \
    "{{ '<|im_start|>' + m.role + '\n' + content + '<|im_end|>\n' }}" END_FOR \
    IF_OPEN "{{ '<|im_start|>assistant\n' }}" \
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}" END_IF

#define PHI4 \
    FOR_EACH "{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}" END_FOR \
    IF_OPEN "{{ '<|im_start|>assistant<|im_sep|>' }}" END_IF

#define HEADER_MESSAGE \
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}"

#define HEADER_OPEN IF_OPEN "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}" END_IF

#define LLAMA3 "{{ bos_token }}" FOR_EACH HEADER_MESSAGE END_FOR HEADER_OPEN

#define LLAMA31 \
    TAKE_SYSTEM "{{ bos_token }}{{ '<|start_header_id|>system<|end_header_id|>\n\n' }}" \
    "{{ 'Cutting Knowledge Date: December 2023\nToday Date: ' + strftime_now('%d %b %Y') + '\n\n' }}" \
    "{{ (system or '') | trim + '<|eot_id|>' }}{% for m in rest %}" HEADER_MESSAGE END_FOR HEADER_OPEN

#define LLAMA2 \
    TAKE_SYSTEM MUST_ALTERNATE \
    "{% for m in rest %}{% set content = m.content %}{% if loop.first and system is not none %}" \
    "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + content %}{% endif %}" \
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}" \
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"

/* No system turn: the message stands in front of the first question, as in Gemma 3's template. */
#define GEMMA \
    TAKE_SYSTEM MUST_ALTERNATE "{{ bos_token }}{% for m in rest %}" \
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}" \
    "{% if loop.first and system is not none %}{{ system + '\n\n' }}{% endif %}{{ m.content | trim + '<end_of_turn>\n' }}" \
    "{% endfor %}" IF_OPEN "{{ '<start_of_turn>model\n' }}" END_IF

#define PHI3 \
    FOR_EACH "{% if m.content or m.role != 'system' %}" \
    "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endif %}" END_FOR \
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"

#define ZEPHYR \
    FOR_EACH "{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}" END_FOR \
    IF_OPEN "{{ '<|assistant|>\n' }}" END_IF

/* The system message joins the first or the last question (`place`). */
#define MISTRAL(open, close, answer, place) \
    TAKE_SYSTEM MUST_ALTERNATE \
    "{{ bos_token }}{% for m in rest %}{% if m.role == 'user' %}{{ '" open "' }}" \
    "{% if loop." place " and system is not none %}{{ system + '\n\n' }}{% endif %}{{ m.content + '" close "' }}" \
    "{% else %}{{ " answer " + eos_token }}{% endif %}{% endfor %}"

#define MISTRAL_V3 MISTRAL("[INST] ", "[/INST]", "' ' + m.content | trim", "last")

#define MISTRAL_V7(space) \
    "{{ bos_token }}" FOR_EACH \
    "{% if m.role == 'system' %}{{ '[SYSTEM_PROMPT]" space "' + m.content + '[/SYSTEM_PROMPT]' }}" \
    "{% elif m.role == 'user' %}{{ '[INST]" space "' + m.content + '[/INST]' }}" \
    "{% else %}{{ '" space "' + m.content + eos_token }}{% endif %}" END_FOR

#define DEEPSEEK2 \
    "{{ bos_token }}" FOR_EACH "{% if m.role == 'user' %}{{ 'User: ' + m.content + '\n\n' }}" \
    "{% elif m.role == 'assistant' %}{{ 'Assistant: ' + m.content + eos_token }}" \
    "{% else %}{{ m.content + '\n\n' }}{% endif %}" END_FOR IF_OPEN "{{ 'Assistant:' }}" END_IF

/* The bars are U+FF5C, the blocks U+2581. */
#define BAR              "\xEF\xBD\x9C"
#define DEEPSEEK_TURN(x) "<" BAR x BAR ">"

#define DEEPSEEK3(thought) \
    "{% set ns = namespace(system='') %}" \
    FOR_EACH "{% if m.role == 'system' %}{% set ns.system = m.content %}{% endif %}" END_FOR \
    "{{ bos_token + ns.system }}" FOR_EACH \
    "{% if m.role == 'user' %}{{ '" DEEPSEEK_TURN("User") "' + m.content }}{% elif m.role == 'assistant' %}" \
    "{{ '" DEEPSEEK_TURN("Assistant") "' + m.content.split('</think>')[-1] }}" \
    "{{ '" DEEPSEEK_TURN("end\xE2\x96\x81of\xE2\x96\x81sentence") "' }}{% endif %}" END_FOR \
    IF_OPEN "{{ '" DEEPSEEK_TURN("Assistant") thought "' }}" END_IF

#define DEEPSEEK_CODER \
    "{{ bos_token }}" FOR_EACH "{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}" \
    "{{ '### Instruction:\n' + m.content + '\n' }}{% else %}" \
    "{{ '### Response:\n' + m.content + '\n<|EOT|>\n' }}{% endif %}" END_FOR \
    IF_OPEN "{{ '### Response:' }}" END_IF

#define VICUNA \
    TAKE_SYSTEM "{{ bos_token }}{% if system is not none %}{{ system + ' ' }}{% endif %}{% for m in rest %}" \
    "{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}" \
    "{% else %}{{ 'ASSISTANT: ' + m.content + eos_token }}{% endif %}{% endfor %}" \
    IF_OPEN "{{ 'ASSISTANT:' }}" END_IF

#define COMMAND_R \
    "{{ bos_token }}{% set names = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'} %}" \
    FOR_EACH "{{ '<|START_OF_TURN_TOKEN|><|' + names[m.role] + '_TOKEN|>' }}" \
    "{{ (m.content if m.role == 'system' else m.content.strip()) + '<|END_OF_TURN_TOKEN|>' }}" END_FOR \
    IF_OPEN "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}" END_IF

const struct chat_family chat_families[] = {
    {"phi4", {"<|im_start|>", "<|im_sep|>", NULL}, PHI4},
    {"qwen3", {"<|im_start|>", "<think>", NULL}, QWEN3},
    {"qwen2.5", {"<|im_start|>", "You are Qwen, created by Alibaba Cloud.", NULL},
     CHATML_WITH("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")},
    {"qwen2", {"<|im_start|>", "You are a helpful assistant", NULL}, CHATML_WITH("You are a helpful assistant.")},
    {"chatml", {"<|im_start|>", "<|im_end|>", NULL}, CHATML},
    {"llama3.1", {"<|start_header_id|>", "Cutting Knowledge Date", NULL}, LLAMA31},
    {"llama3", {"<|start_header_id|>", "<|end_header_id|>", NULL}, LLAMA3},
    {"gemma", {"<start_of_turn>", "<end_of_turn>", NULL}, GEMMA},
    {"mistral-v7", {"[INST] ", "[SYSTEM_PROMPT]", NULL}, MISTRAL_V7(" ")},
    {"mistral-v7-tekken", {"[INST]", "[SYSTEM_PROMPT]", NULL}, MISTRAL_V7("")},
    {"llama2", {"[INST]", "<<SYS>>", NULL}, LLAMA2},
    {"mistral-v3-tekken", {"\"[INST]\"", "[/INST]", NULL}, MISTRAL("[INST]", "[/INST]", "m.content", "last")},
    {"mistral-v3", {"\"[INST] \"", "[/INST]", NULL}, MISTRAL_V3},
    {"mistral-v1", {"[INST]", "[/INST]", NULL}, MISTRAL(" [INST] ", " [/INST]", "' ' + m.content", "first")},
    {"phi3", {"<|end|>", "<|assistant|>", NULL}, PHI3},
    {"zephyr", {"<|user|>", "<|assistant|>", NULL}, ZEPHYR},
    {"deepseek-r1", {DEEPSEEK_TURN("Assistant"), "<think>", NULL}, DEEPSEEK3("<think>\n")},
    {"deepseek3", {DEEPSEEK_TURN("Assistant"), DEEPSEEK_TURN("User"), NULL}, DEEPSEEK3("")},
    {"deepseek", {"### Instruction:", "<|EOT|>", NULL}, DEEPSEEK_CODER},
    {"deepseek2", {"User: ", "Assistant: ", NULL}, DEEPSEEK2},
    {"command-r", {"<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>", NULL}, COMMAND_R},
    {"vicuna", {"USER: ", "ASSISTANT: ", NULL}, VICUNA},
    /* By name alone. */
    {"mistral", {NULL, NULL, NULL}, MISTRAL_V3},
    /* Recognised only. */
    {"llama4", {"<|header_start|>", "<|header_end|>", NULL}, NULL},
    {"granite", {"<|start_of_role|>", "<|end_of_role|>", NULL}, NULL},
    {"openchat", {"GPT4 Correct ", NULL, NULL}, NULL},
    {"alpaca", {"### Instruction:", "### Response:", NULL}, NULL},
    {"solar", {"### User:", "### Assistant:", NULL}, NULL},
    {"gemma4", {"<|turn>", "<turn|>", NULL}, NULL},
    {"glm4", {"[gMASK]", "<|user|>", NULL}, NULL},
    {NULL, {NULL, NULL, NULL}, NULL},
};
