/* fuzz_json.c - any bytes through the JSON reader; what it accepts is written and read back with the same result. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_leaf(const struct json *leaf, struct arena *arena, struct buffer *out)
{
    const struct json *again;

    buffer_clear(out);
    json_put_string(out, leaf->text, leaf->length);
    if (json_parse(&again, out->data, out->length, arena, "again", 0, NULL, NULL))
        abort();
    if (again->length != leaf->length || memcmp(again->text, leaf->text, leaf->length) != 0)
        abort();
}

/* Walks the tree by child and next; the parent of a node is remembered on a stack of the depth that the reader allows.
 */
static void check_tree(const struct json *root, struct arena *arena, struct buffer *out)
{
    const struct json *stack[JSON_MAX_DEPTH + 1];
    int depth = 0;

    for (const struct json *node = root; node;) {
        if (node->type == JSON_STRING)
            check_leaf(node, arena, out);
        if (node->type == JSON_NUMBER && !isfinite(node->number))
            abort();
        if (node->child) {
            if (depth == JSON_MAX_DEPTH)
                abort();
            stack[depth++] = node;
            node = node->child;
            continue;
        }
        while (node && !node->next)
            node = depth ? stack[--depth] : NULL;
        node = node ? node->next : NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buffer out = {0};
    const struct json *root;
    struct diag diag;

    arena_init(&arena, "fuzz", 0);
    if (json_parse(&root, (const char *)data, size, &arena, "fuzz", 1, NULL, &diag) == STATUS_OK)
        check_tree(root, &arena, &out);
    else if (root || !diag.message[0])
        abort();
    buffer_free(&out);
    arena_free(&arena);
    if (memory_live())
        abort();
    return 0;
}
