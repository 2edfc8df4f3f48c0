/* test_chat.c - chat templates: families by name against published templates' output, the template language, hostile
 * templates, what counts as content. With DATA set, the published templates themselves (not part of the tree).
 *
 * fixtures/golden/chat.jsonl was made by tests/oracle/chat_golden.py. */
#include "test.h"
#include "chat.h"
#include "file.h"
#include "json.h"

#define MAX_MESSAGES 16

static const struct chat_options tokens = {"<s>", "</s>", NULL, 0};

static size_t read_messages(const struct json *list, struct chat_message *messages)
{
    size_t n = 0;

    for (const struct json *m = list->child; m && n < MAX_MESSAGES; m = m->next, n++) {
        messages[n].role = json_string(m, "role", "");
        messages[n].content = json_get(m, "content")->text;
        messages[n].length = json_get(m, "content")->length;
    }
    return n;
}

/* Segments are the text, in order, and alternate between template and content. */
static void check_segments(const struct chat_prompt *prompt)
{
    size_t at = 0;

    for (size_t i = 0; i < prompt->n_segments; i++) {
        CHECK(prompt->segments[i].text == prompt->text.data + at);
        CHECK(i == 0 || prompt->segments[i].is_template != prompt->segments[i - 1].is_template);
        at += prompt->segments[i].length;
    }
    CHECK(at == prompt->text.length);
}

static void check_golden(const struct chat_template *chat, const struct json *line, uint64_t number)
{
    struct chat_message messages[MAX_MESSAGES];
    size_t n = read_messages(json_get(line, "messages"), messages);
    const struct json *expected = json_get(line, "text");
    struct chat_prompt prompt = {{0}, NULL, 0, 0};
    struct diag diag = {0};
    enum status status = chat_render(chat, messages, n, json_bool(line, "generation", 0), &tokens, &prompt, &diag);

    if (!expected) {
        CHECK_MSG(status == STATUS_RANGE, "line %llu: expected a refusal", (unsigned long long)number);
    } else {
        CHECK_MSG(!status, "line %llu: %s", (unsigned long long)number, diag.message);
        CHECK_MSG(prompt.text.length == expected->length &&
                      memcmp(prompt.text.data ? prompt.text.data : "", expected->text, expected->length) == 0,
                  "line %llu: expected '%s', found '%s'", (unsigned long long)number, expected->text,
                  prompt.text.data ? prompt.text.data : "");
        check_segments(&prompt);
    }
    chat_prompt_free(&prompt);
}

/* The template of a line: by name, or with `folder` the published file. 0: this line is not for us. */
static int template_of(struct chat_template *chat, const struct json *line, const char *folder, struct buffer *text)
{
    struct diag diag = {0};
    struct buffer path = {0};
    enum status status;

    if (!folder) {
        const char *name = json_string(line, "name", NULL);
        if (name)
            CHECK(chat_named(chat, name, &diag) == STATUS_OK);
        return name != NULL;
    }
    buffer_format(&path, "%s/chat_templates/%s.jinja", folder, json_string(line, "file", ""));
    buffer_clear(text);
    status = file_read(text, path.data, 0, &diag);
    if (!status)
        status = chat_recognise(chat, text->data, text->length, &diag);
    CHECK_MSG(!status, "%s", diag.message);
    if (!status && json_string(line, "name", NULL))
        CHECK_MSG(strcmp(chat_name(chat), json_string(line, "name", "")) == 0, "%s is taken for %s", path.data,
                  chat_name(chat));
    buffer_free(&path);
    return !status;
}

static void check_all(const char *folder)
{
    struct file_lines lines;
    struct buffer template_text = {0};
    struct diag diag = {0};
    size_t length, count = 0;
    char *text;

    CHECK(file_lines_open(&lines, "fixtures/golden/chat.jsonl", &diag) == STATUS_OK);
    while (!test_failed_here && file_lines_next(&lines, &text, &length, &diag) == STATUS_OK && text) {
        const struct json *root;
        struct chat_template chat;
        struct arena arena;
        arena_init(&arena, "test", 0);
        CHECK(json_parse(&root, text, length, &arena, "golden", lines.number, NULL, &diag) == STATUS_OK);
        if (!test_failed_here && template_of(&chat, root, folder, &template_text))
            check_golden(&chat, root, lines.number);
        arena_free(&arena);
        count++;
    }
    file_lines_close(&lines);
    buffer_free(&template_text);
    CHECK_MSG(count == 140, "%zu lines", count);
}

static void test_families_by_name(void)
{
    check_all(NULL);
}

static void test_published_templates(void)
{
    check_all(getenv("DATA"));
}

/* ---- the template language ---- */

/* Renders a template (in the chatml family's clothes) for one user message "Hi". NULL: it was refused. */
static const char *render(const char *source, struct chat_prompt *prompt, struct diag *diag)
{
    static const char marks[] = "{# <|im_start|><|im_end|> #}";
    static char text[4096];
    struct chat_message message = {"user", "Hi", 2};
    struct chat_template chat;

    snprintf(text, sizeof text, "%s%s", marks, source);
    if (chat_recognise(&chat, text, strlen(text), diag) || chat_render(&chat, &message, 1, 1, &tokens, prompt, diag))
        return NULL;
    return prompt->text.data ? prompt->text.data : "";
}

static void test_language(void)
{
    static const char *const cases[][2] = {
        {"{{ 'a' + 'b' ~ 1 + 2 }}", NULL}, /* a string and a number do not add */
        {"{{ 'a' ~ 1 ~ 'b' 'c' }}", "a1bc"},
        {"{{ 7 // 2 }} {{ -7 % 3 }} {{ -7 // 2 }} {{ 7 / 2 }} {{ 2 + 3 * 4 }} {{ 1.5 }}", "3 2 -4 3.5 14 1.5"},
        {"{{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ not 1 > 2 }} {{ none }} {{ x }}", "True True True None "},
        {"{{ 'x' if false }}{{ 'y' if true else 'z' }}{{ none or 'w' }}{{ 'p' and 'q' }}", "ywq"},
        {"{{ 'b' in 'abc' }} {{ 2 not in [1, 3] }} {{ 'k' in {'k': 1} }} {{ 'a' in x }}", "True True True False"},
        {"{{ 'h\xC3\xA9llo'[1] }}{{ 'h\xC3\xA9llo'[1:3] }}{{ 'abc'[-1] }}{{ 'abc'[:-1] }}", "\xC3\xA9\xC3\xA9lcab"},
        {"{{ [1, 2, 3][::-1][0] }}{{ [1, 2, 3][1:]|length }}{{ (1, 2)|last }}{{ []|first }}", "322"},
        {"{{ {'a': {'b': 5}}.a['b'] }}{{ {'a': 1}.get('z', 2) }}{{ {'a': 1}.get('z') }}", "52None"},
        {"{{ ' a '.strip() ~ 'xaax'.strip('x') ~ 'a,b'.split(',')[1] ~ 'ab'.replace('b', 'c') }}", "aaabac"},
        {"{{ 'a b  c'.split()|join('-') }}{{ 'Ab'|upper }}{{ 'Ab'|lower }}{{ 'aB'|capitalize }}", "a-b-cABabAb"},
        {"{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('x') }}{{ '\\x41\\u00e9\\n' }}", "TrueFalseA\xC3\xA9\n"},
        {"{{ '\xE3\x80\x80 a\xC2\xA0'|trim }}", "a"},
        {"{{ x|default('d') }}{{ ''|default('e', true) }}{{ x is defined }}{{ x is not none }}", "deFalseTrue"},
        {"{{ 'a' is string }}{{ [] is mapping }}{{ 3 is odd }}{{ 3 is equalto 3 }}{{ 4 is divisibleby 2 }}",
         "TrueFalseTrueTrueTrue"},
        {"{% for i in range(6) if i is even %}{{ loop.index }}{{ i }}{{ ',' if not loop.last }}{% endfor %}",
         "10,22,34"},
        {"{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{% for i in [] %}{% else %}none{% endfor %}",
         "a1none"},
        {"{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}"
         "{% endfor %}",
         "023"},
        {"{% for i in range(5, 0, -2) %}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}", "3;51;3;"},
        {"{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if 1 %}{% set x = 3 %}{% endif %}{{ x "
         "}}",
         "13"},
        {"{% set n = namespace(v=1) %}{% for i in [1, 2] %}{% set n.v = n.v + i %}{% endfor %}{{ n.v }}", "4"},
        {"{% set a, b = [1, 2] %}{{ b }}{{ a }}{% set t %}q{{ a }}{% endset %}{{ t }}{{ t|length }}", "21q12"},
        {"{% macro m(a, b='z') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(b=2, a=3) }}", "[1z][32]"},
        {"{{ messages|selectattr('role', 'equalto', 'user')|list|length }}{{ messages|map(attribute='role')|join }}",
         "1user"},
        {"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
        {"a  {%- if true -%}  b  {%- endif %}\n c", "ab c"},
        {"a {{- 'x' -}} \n b {# c #}\n d\n\n", "axb  d\n"},
        {"  {%+ if true %}x{% endif +%}\ny", "  x\ny"},
        {"{{ bos_token }}{{ eos_token }}{{ messages[0].content }}{{ messages[-1]['role'] }}", "<s></s>Hiuser"},
        {"{{ strftime_now is defined }}{{ strftime_now('%d %B %Y %y-%m') }}", "False26 July 2024 24-07"},
        {"{% generation %}g{% endgeneration %}{% if a %}1{% elif true %}2{% else %}3{% endif %}", "g2"},
        {"{{ raise_exception('no') }}", NULL},
        {"{{ unknown() }}", NULL},
        {"{{ 'a'|nofilter }}", NULL},
        {"{{ x.y.z }}", NULL},
        {"{{ 1 // 0 }}", NULL},
        {"{{ 'a'", NULL},
        {"{% if true %}", NULL},
        {"{% endif %}", NULL},
        {"{{ }}", NULL},
        {"{# ", NULL},
        {"{{ 'abc }}", NULL},
        {"{% set x %}", NULL},
        {"{% bad %}", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chat_prompt prompt = {{0}, NULL, 0, 0};
        struct diag diag = {0};
        const char *found = render(cases[i][0], &prompt, &diag);
        if (cases[i][1])
            CHECK_MSG(found && strcmp(found, cases[i][1]) == 0, "%s: expected '%s', found '%s'", cases[i][0],
                      cases[i][1], found ? found : diag.message);
        else
            CHECK_MSG(!found && diag.message[0], "%s: expected an error, found '%s'", cases[i][0], found);
        chat_prompt_free(&prompt);
    }
}

/* What a message says is content, wherever a template carries it. */
static void test_content(void)
{
    static const char source[] =
        "{% set ns = namespace(t='<|a|>') %}{% for m in messages %}{% set ns.t = ns.t + m.content|trim %}{% endfor %}"
        "{{ ns.t.split('|')[-1] + '<|im_end|>' }}{{ messages[0]['content'][2:] }}{{ '!' }}<|im_start|>";
    const struct chat_message message = {"user", " xx<|im_end|>Z\n", 15};
    struct chat_prompt prompt = {{0}, NULL, 0, 0};
    struct chat_template chat;
    struct diag diag = {0};

    CHECK(chat_recognise(&chat, source, strlen(source), &diag) == STATUS_OK);
    CHECK_MSG(!chat_render(&chat, &message, 1, 0, NULL, &prompt, &diag), "%s", diag.message);
    CHECK(strcmp(prompt.text.data, ">Z<|im_end|>x<|im_end|>Z\n!<|im_start|>") == 0);
    CHECK(prompt.n_segments == 4);
    CHECK(!prompt.segments[0].is_template && prompt.segments[0].length == 2);
    CHECK(prompt.segments[1].is_template && prompt.segments[1].length == 10);
    CHECK(!prompt.segments[2].is_template && prompt.segments[2].length == 13);
    check_segments(&prompt);
    chat_prompt_free(&prompt);
}

static void test_options(void)
{
    const struct chat_message messages[] = {{"user", "Hi", 2}};
    struct chat_options options = {"<s>", "</s>", "3 Jan 2025", 1};
    struct chat_prompt prompt = {{0}, NULL, 0, 0};
    struct chat_template chat;
    struct diag diag = {0};

    CHECK(chat_named(&chat, "llama3.1", &diag) == STATUS_OK);
    CHECK(chat_render(&chat, messages, 1, 1, &options, &prompt, &diag) == STATUS_OK);
    CHECK(strstr(prompt.text.data, "Today Date: 03 Jan 2025\n") != NULL);
    options.date = "2025-01-03";
    CHECK(chat_render(&chat, messages, 1, 1, &options, &prompt, &diag) == STATUS_RANGE);
    options.date = NULL;
    CHECK(chat_render(&chat, messages, 0, 1, &options, &prompt, &diag) == STATUS_RANGE);
    CHECK(chat_named(&chat, "qwen3", &diag) == STATUS_OK);
    CHECK(chat_render(&chat, messages, 1, 1, &options, &prompt, &diag) == STATUS_OK);
    CHECK(strcmp(prompt.text.data, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n") ==
          0);
    options.no_thinking = 0;
    CHECK(chat_render(&chat, messages, 1, 1, &options, &prompt, &diag) == STATUS_OK);
    CHECK(strcmp(prompt.text.data, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n") == 0);
    chat_prompt_free(&prompt);
}

static void test_unknown(void)
{
    struct chat_template chat;
    struct diag diag = {0};

    CHECK(chat_recognise(&chat, "{{ messages[0].content }}", 25, &diag) == STATUS_UNSUPPORTED);
    CHECK(strstr(diag.message, "--chat-template") != NULL);
    CHECK(chat_recognise(&chat, "", 0, &diag) == STATUS_UNSUPPORTED);
    CHECK(chat_named(&chat, "nonsense", &diag) == STATUS_UNSUPPORTED);
    CHECK(strstr(diag.message, "nonsense") && strstr(diag.message, "chatml") && strstr(diag.message, "vicuna"));
    CHECK(chat_named(&chat, "llama4", &diag) == STATUS_UNSUPPORTED); /* recognised, but has no text of its own */
}

/* Endless, huge and deep templates end with an error. */
static void test_hostile(void)
{
    static char deep[30000];
    static const char *const sources[] = {
        "{% for a in range(2000) %}{% for b in range(2000) %}{{ '' }}{% endfor %}{% endfor %}",
        "{% set n = namespace(t='xxxxxxxxxxxxxxxx') %}{% for a in range(100) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set l = [] %}{% for a in range(99999999999) %}{% endfor %}",
        "{{ '%s' }}{% set x = x.append(x) %}",
    };
    static const char *const nests[] = {"(", "[", "{% if 1 %}", "not ", "-", "{{ {'a': "};

    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        struct chat_prompt prompt = {{0}, NULL, 0, 0};
        struct diag diag = {0};
        CHECK_MSG(render(sources[i], &prompt, &diag) == NULL && diag.message[0], "%s", sources[i]);
        chat_prompt_free(&prompt);
    }
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        size_t n = (size_t)snprintf(deep, sizeof deep, "<|im_start|><|im_end|>%s", *nests[i] == '{' ? "" : "{{ ");
        struct chat_template chat;
        struct diag diag = {0};
        while (n + strlen(nests[i]) + 1 < sizeof deep)
            n += (size_t)snprintf(deep + n, sizeof deep - n, "%s", nests[i]);
        CHECK_MSG(chat_recognise(&chat, deep, n, &diag) != STATUS_OK && diag.message[0], "%s", nests[i]);
    }
}

/* Every prefix of a template and every single changed byte: an error or a prompt, never more. */
static void test_damaged(void)
{
    static const char source[] =
        "<|im_start|><|im_end|>{%- set ns = namespace(a=-1) -%}{# c #}{% for m in messages if m.role != 'x' %}"
        "{{- m['content'][0:1]|trim ~ (loop.index0 + 1) -}}{% elif %}{% endfor %}{% macro f(a, b=[1, {'k': none}]) %}"
        "{% endmacro %}{% if not ns.a is defined and 'a' in 'b\\n' %}{{ f(1, b=2) }}{% else %}x{% endif %}";
    static const char swaps[] = "{}%#-'\"()[]|.,:=~\\\n0a \xFF";
    const struct chat_message message = {"user", "Hi", 2};
    char copy[sizeof source];
    size_t live = memory_live();

    for (size_t i = 0; i < sizeof source - 1; i++) {
        for (size_t k = 0; k < (test_quick() ? 3 : sizeof swaps); k++) {
            struct chat_prompt prompt = {{0}, NULL, 0, 0};
            struct chat_template chat;
            struct diag diag = {0};
            size_t length = k ? sizeof source - 1 : i;
            memcpy(copy, source, sizeof source);
            copy[i] = k ? swaps[k - 1] : '\0';
            if (chat_recognise(&chat, copy, length, &diag) || chat_render(&chat, &message, 1, 1, NULL, &prompt, &diag))
                CHECK(diag.message[0]);
            chat_prompt_free(&prompt);
        }
    }
    CHECK(memory_live() == live);
}

static void test_failing_allocations(void)
{
    const struct chat_message messages[] = {
        {"system", "S", 1}, {"user", "Hi", 2}, {"assistant", "<think>t</think>a", 17}};
    struct chat_template chat;
    size_t live = memory_live();
    int failures = 0;

    CHECK(chat_named(&chat, "qwen3", NULL) == STATUS_OK);
    for (size_t n = 1;; n++, failures++) {
        struct chat_prompt prompt = {{0}, NULL, 0, 0};
        struct diag diag = {0};
        enum status status;
        memory_fail_at(n);
        status = chat_render(&chat, messages, 3, 1, &tokens, &prompt, &diag);
        memory_fail_at(0);
        chat_prompt_free(&prompt);
        CHECK(memory_live() == live);
        if (!status)
            break;
        CHECK_MSG(diag.message[0], "no reason for failing");
    }
    CHECK(failures >= 3);
}

int main(void)
{
    RUN(test_families_by_name);
    RUN(test_language);
    RUN(test_content);
    RUN(test_options);
    RUN(test_unknown);
    RUN(test_hostile);
    RUN(test_damaged);
    RUN(test_failing_allocations);
    if (getenv("DATA"))
        RUN(test_published_templates);
    return TEST_RESULT();
}
