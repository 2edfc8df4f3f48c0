/* adapter_file.c - reading adapters: PEFT folder or GGUF; see adapter_file.h for the names. Writing: adapter_write.c.
 */
#include "adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "adapter_parts.h"
#include "file.h"
#include "gguf.h"
#include "json.h"
#include "safetensors.h"

/* One matrix as stored. */
struct stored {
    const char *name;
    const void *data;
    enum dtype type;
    size_t rows, cols;
};

size_t adapter_file_row(const struct model *model, enum target target, size_t row)
{
    const struct config *c = &model->config;
    size_t rows = (size_t)(target == TARGET_Q ? c->n_heads : c->n_kv_heads) * (size_t)c->head_dim;

    if (!c->rope_pairs || (target != TARGET_Q && target != TARGET_K))
        return row;
    return source_permuted_row(row, rows, target == TARGET_Q ? c->n_heads : c->n_kv_heads);
}

/* ---- Values into place ---- */

static int finite_all(const float *x, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return 0;
    return 1;
}

static enum status check_shape(const char *path, const struct stored *s, size_t rows, size_t cols, struct diag *diag)
{
    if (s->rows == rows && s->cols == cols)
        return STATUS_OK;
    return diag_fail(diag, STATUS_FORMAT, "%s: %s: expected %zu x %zu, found %zu x %zu (an adapter of another base?)",
                     path, s->name, rows, cols, s->rows, s->cols);
}

static void decode_rows(const struct stored *s, size_t row, float *to)
{
    const struct dtype_info *info = dtype_info(s->type);

    dtype_decode_row(s->type, to, (const uint8_t *)s->data + row * s->cols / info->block_len * info->block_bytes,
                     s->cols);
}

static enum status place_a(const struct lora *lora, const struct stored *s, const char *path, struct diag *diag)
{
    enum status status = check_shape(path, s, lora->rank, lora->in, diag);
    size_t r;

    for (r = 0; r < lora->rank && !status; r++)
        decode_rows(s, r, lora->a + r * lora->in);
    if (!status && !finite_all(lora->a, lora->rank * lora->in))
        status = diag_fail(diag, STATUS_NUMERIC, "%s: %s: expected finite values", path, s->name);
    return status;
}

/* B [out][R] into b_t; row_of maps a row in memory to the file's row (NULL: the same). */
static enum status place_b(const struct model *model, enum target target, const struct lora *lora,
                           const struct stored *s, int file_order, const char *path, struct diag *diag)
{
    enum status status = check_shape(path, s, lora->out, lora->rank, diag);
    float *row = memory_alloc(lora->rank * sizeof *row);
    size_t i, r;

    if (!row)
        return diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path);
    for (i = 0; i < lora->out && !status; i++) {
        decode_rows(s, file_order ? adapter_file_row(model, target, i) : i, row);
        if (!finite_all(row, lora->rank))
            status = diag_fail(diag, STATUS_NUMERIC, "%s: %s: expected finite values", path, s->name);
        for (r = 0; r < lora->rank; r++)
            lora->b_t[r * lora->out_stride + i] = row[r];
    }
    memory_free(row);
    return status;
}

static enum status lonely(const char *path, const char *name, const char *other, struct diag *diag)
{
    return diag_fail(diag, STATUS_FORMAT, "%s: %s: expected %s with it, found none", path, name, other);
}

/* ---- PEFT folder ---- */

struct peft_config {
    struct adapter_shape shape;
    float dropout;
    char base[512];
    int token_cls;
};

static enum status refuse(const char *path, const char *key, const char *found, struct diag *diag)
{
    return diag_fail(diag, STATUS_UNSUPPORTED, "%s: \"%s\": arklet does not compute adapters with %s", path, key,
                     found);
}

static int is_empty(const struct json *value)
{
    return !value || value->type == JSON_NULL || value->type == JSON_FALSE ||
           ((value->type == JSON_OBJECT || value->type == JSON_ARRAY) && !value->child);
}

/* Settings that change what an adapter computes. */
static enum status check_settings(const struct json *root, const char *path, struct diag *diag)
{
    static const char *const unset[] = {"use_dora",          "rank_pattern",
                                        "alpha_pattern",     "fan_in_fan_out",
                                        "lora_bias",         "layer_replication",
                                        "megatron_config",   "trainable_token_indices",
                                        "use_qalora",        "alora_invocation_tokens",
                                        "target_parameters", "use_bdlora",
                                        "arrow_config",      "kasa_config",
                                        "monteclora_config", "velora_config"};
    static const char *const changed[] = {"pissa", "olora", "corda", "loftq"}; /* these start from another base */
    const char *type = json_string(root, "peft_type", ""), *bias = json_string(root, "bias", "none");
    const char *init = json_string(root, "init_lora_weights", "");
    size_t i;

    if (strcmp(type, "LORA") != 0)
        return diag_fail(diag, STATUS_UNSUPPORTED, "%s: \"peft_type\": expected LORA, found '%s'", path, type);
    for (i = 0; i < sizeof unset / sizeof *unset; i++)
        if (!is_empty(json_get(root, unset[i])))
            return refuse(path, unset[i], "it", diag);
    for (i = 0; i < sizeof changed / sizeof *changed; i++)
        if (strncmp(init, changed[i], strlen(changed[i])) == 0)
            return refuse(path, "init_lora_weights", init, diag);
    if (strcmp(bias, "none") != 0)
        return refuse(path, "bias", bias, diag);
    return STATUS_OK;
}

static enum status read_config_values(struct peft_config *config, const struct json *root, const char *path,
                                      struct diag *diag)
{
    const struct json *saved = json_get(root, "modules_to_save"), *item;
    double rank = json_number(root, "r", 0);
    enum status status = check_settings(root, path, diag);

    if (status)
        return status;
    if (!(rank >= 1 && rank <= 65536) || rank != floor(rank))
        return diag_fail(diag, STATUS_FORMAT, "%s: \"r\": expected a rank of 1..65536, found %g", path, rank);
    config->shape.rank = (size_t)rank;
    config->shape.alpha = (float)json_number(root, "lora_alpha", rank);
    config->shape.rslora = json_bool(root, "use_rslora", 0);
    config->dropout = (float)json_number(root, "lora_dropout", 0);
    snprintf(config->base, sizeof config->base, "%s", json_string(root, "base_model_name_or_path", ""));
    for (item = is_empty(saved) ? NULL : saved->child; item; item = item->next) {
        if (item->type != JSON_STRING || strcmp(item->text, "score") != 0)
            return refuse(path, "modules_to_save", item->type == JSON_STRING ? item->text : "that", diag);
        config->shape.score = 1;
    }
    return STATUS_OK;
}

static enum status read_config(struct peft_config *config, const char *path, struct diag *diag)
{
    struct buffer text = {0};
    const struct json *root;
    struct arena arena;
    enum status status = file_read(&text, path, (size_t)1 << 20, diag);

    arena_init(&arena, "adapter config", 0);
    if (!status)
        status = json_parse(&root, text.data ? text.data : "", text.length, &arena, path, 0, NULL, diag);
    if (!status)
        status = read_config_values(config, root, path, diag);
    arena_free(&arena);
    buffer_free(&text);
    return status;
}

static const char *const module_paths[TARGET_COUNT] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                       "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                       "mlp.down_proj"};

void adapter_peft_tensor(char name[ADAPTER_NAME], size_t layer, enum target target, char side)
{
    snprintf(name, ADAPTER_NAME, "base_model.model.model.layers.%zu.%s.lora_%c.weight", layer, module_paths[target],
             side);
}

/* Which pair a PEFT tensor belongs to; 0 when the name is none of ours. */
static int peft_place(const char *name, size_t n_layers, size_t *layer, enum target *target, char *side)
{
    char wanted[ADAPTER_NAME];
    unsigned long number;
    int t, s;

    if (sscanf(name, "base_model.model.model.layers.%lu.", &number) != 1 || number >= n_layers)
        return 0;
    *layer = number;
    for (t = 0; t < TARGET_COUNT; t++)
        for (s = 'A'; s <= 'B'; s++) {
            adapter_peft_tensor(wanted, number, (enum target)t, (char)s);
            *target = (enum target)t;
            *side = (char)s;
            if (strcmp(name, wanted) == 0)
                return 1;
        }
    return 0;
}

static int is_score(const char *name)
{
    return strncmp(name, "base_model.model.score.", 23) == 0;
}

static enum status to_stored(struct stored *s, const struct safetensors_tensor *tensor, const char *path,
                             struct diag *diag)
{
    s->name = tensor->name;
    s->data = tensor->data;
    s->type = tensor->type;
    if (!tensor->is_weight || tensor->n_dims < 1 || tensor->n_dims > 2)
        return diag_fail(diag, STATUS_UNSUPPORTED,
                         "%s: %s: expected an F32, F16 or BF16 matrix, found %s with %d dimensions", path, tensor->name,
                         tensor->dtype_name, tensor->n_dims);
    s->rows = tensor->n_dims == 2 ? (size_t)tensor->dims[0] : 1;
    s->cols = (size_t)tensor->dims[tensor->n_dims - 1];
    return STATUS_OK;
}

static enum status find_targets(struct adapter_shape *shape, const struct safetensors *file, size_t n_layers,
                                struct diag *diag)
{
    enum target target;
    size_t i, layer;
    char side, other[ADAPTER_NAME];

    for (i = 0; i < file->n_tensors; i++) {
        if (peft_place(file->tensors[i].name, n_layers, &layer, &target, &side)) {
            shape->targets |= 1u << target;
            adapter_peft_tensor(other, layer, target, side == 'A' ? 'B' : 'A');
            if (!safetensors_find(file, other))
                return lonely(file->path, file->tensors[i].name, other, diag);
        } else if (!is_score(file->tensors[i].name))
            return diag_fail(diag, STATUS_UNSUPPORTED, "%s: %s: not a LoRA tensor of this model (%zu layers)",
                             file->path, file->tensors[i].name, n_layers);
    }
    if (!shape->targets)
        return diag_fail(diag, STATUS_FORMAT, "%s: expected LoRA tensors, found none", file->path);
    return STATUS_OK;
}

static enum status place_score(const struct adapter *adapter, const struct stored *s, const char *path,
                               struct diag *diag)
{
    int bias = strcmp(s->name, "base_model.model.score.bias") == 0;
    size_t dim = (size_t)(adapter->score_bias - adapter->score_weight) / 2, r;
    enum status status;

    if (!adapter->score_weight)
        return diag_fail(diag, STATUS_FORMAT, "%s: %s: \"modules_to_save\" does not name a score head", path, s->name);
    status = bias ? check_shape(path, s, 1, 2, diag) : check_shape(path, s, 2, dim, diag);
    for (r = 0; r < s->rows && !status; r++)
        decode_rows(s, r, bias ? adapter->score_bias : adapter->score_weight + r * dim);
    if (!status && !finite_all(adapter->score_weight, 2 * dim + 2))
        status = diag_fail(diag, STATUS_NUMERIC, "%s: %s: expected finite values", path, s->name);
    return status;
}

static enum status place_peft(struct adapter *adapter, const struct model *model, const struct safetensors *file,
                              struct diag *diag)
{
    enum status status = STATUS_OK;
    enum target target;
    size_t i, layer;
    char side;

    for (i = 0; i < file->n_tensors && !status; i++) {
        struct stored s;

        status = to_stored(&s, &file->tensors[i], file->path, diag);
        if (status)
            return status;
        if (!peft_place(s.name, adapter->n_layers, &layer, &target, &side))
            status = place_score(adapter, &s, file->path, diag);
        else if (side == 'A')
            status = place_a(&adapter->loras[layer][target], &s, file->path, diag);
        else
            status = place_b(model, target, &adapter->loras[layer][target], &s, 1, file->path, diag);
    }
    return status;
}

static enum status load_folder(struct adapter **adapter, const struct model *model, const char *path, struct diag *diag)
{
    struct peft_config config = {0};
    struct safetensors file = {0};
    char name[1024];
    enum status status;

    snprintf(name, sizeof name, "%s/adapter_config.json", path);
    status = read_config(&config, name, diag);
    if (!status) {
        snprintf(name, sizeof name, "%s/adapter_model.safetensors", path);
        status = safetensors_open(&file, name, diag);
    }
    if (!status)
        status = find_targets(&config.shape, &file, (size_t)model->config.n_layers, diag);
    if (!status)
        status = adapter_create(adapter, model, &config.shape, diag);
    if (!status) {
        (*adapter)->dropout = config.dropout;
        (*adapter)->base = arena_text(&(*adapter)->arena, config.base, strlen(config.base));
        status = place_peft(*adapter, model, &file, diag);
    }
    safetensors_close(&file);
    return status;
}

/* ---- GGUF ---- */

/* "blk.N.attn_q.weight.lora_a" */
static int gguf_place(const char *name, size_t n_layers, size_t *layer, enum target *target, char *side)
{
    char wanted[ADAPTER_NAME];
    unsigned long number;
    int t, s;

    if (sscanf(name, "blk.%lu.", &number) != 1 || number >= n_layers)
        return 0;
    *layer = number;
    for (t = 0; t < TARGET_COUNT; t++)
        for (s = 'a'; s <= 'b'; s++) {
            snprintf(wanted, sizeof wanted, "blk.%lu.%s.weight.lora_%c", number, adapter_gguf_name((enum target)t), s);
            *target = (enum target)t;
            *side = (char)s;
            if (strcmp(name, wanted) == 0)
                return 1;
        }
    return 0;
}

static enum status expect_text(const struct gguf *gguf, const char *key, const char *want, struct diag *diag)
{
    const char *text = "";
    size_t length = 0;
    enum status status = gguf_string(gguf, key, &text, &length, diag);

    if (!status && (length != strlen(want) || memcmp(text, want, length) != 0))
        status = diag_fail(diag, STATUS_FORMAT, "%s: %s: expected '%s', found '%.*s'", gguf->path, key, want,
                           (int)(length < 64 ? length : 64), text);
    return status;
}

/* Is the other half of a pair there? The name ends in a or b. */
static int has_partner(const struct gguf *gguf, const char *name)
{
    size_t n = strlen(name), i;

    for (i = 0; i < gguf->n_tensors; i++) {
        const char *other = gguf->tensors[i].name;

        if (strlen(other) == n && memcmp(other, name, n - 1) == 0 && other[n - 1] != name[n - 1])
            return 1;
    }
    return 0;
}

static enum status gguf_shape(struct adapter_shape *shape, const struct gguf *gguf, const struct model *model,
                              struct diag *diag)
{
    enum status status = expect_text(gguf, "general.type", "adapter", diag);
    enum target target;
    size_t i, layer;
    char side;

    if (!status)
        status = expect_text(gguf, "adapter.type", "lora", diag);
    if (!status)
        status = expect_text(gguf, "general.architecture", arch_name(model->config.arch), diag);
    if (!status)
        status = gguf_f32(gguf, "adapter.lora.alpha", &shape->alpha, diag);
    for (i = 0; i < gguf->n_tensors && !status; i++) {
        const struct gguf_tensor *t = &gguf->tensors[i];

        if (!gguf_place(t->name, (size_t)model->config.n_layers, &layer, &target, &side))
            return diag_fail(diag, STATUS_UNSUPPORTED, "%s: %s: not a LoRA tensor of this model", gguf->path, t->name);
        if (!dtype_info((uint32_t)t->type)->is_weight)
            return diag_fail(diag, STATUS_UNSUPPORTED, "%s: %s: expected float values, found %s", gguf->path, t->name,
                             dtype_info((uint32_t)t->type)->name);
        if (!has_partner(gguf, t->name))
            return lonely(gguf->path, t->name, side == 'a' ? "its lora_b" : "its lora_a", diag);
        shape->targets |= 1u << target;
        shape->rank = (size_t)t->dims[side == 'a' ? 1 : 0];
    }
    if (!status && !shape->targets)
        status = diag_fail(diag, STATUS_FORMAT, "%s: expected LoRA tensors, found none", gguf->path);
    if (!status && shape->alpha == 0) /* llama.cpp: no alpha means a scale of 1 */
        shape->alpha = (float)shape->rank;
    return status;
}

static enum status load_gguf(struct adapter **adapter, const struct model *model, const char *path, struct diag *diag)
{
    struct adapter_shape shape = {0};
    struct gguf gguf = {0};
    enum status status = gguf_open(&gguf, path, GGUF_ALL, diag);
    enum target target;
    size_t i, layer;
    char side;

    if (!status)
        status = gguf_shape(&shape, &gguf, model, diag);
    if (!status)
        status = adapter_create(adapter, model, &shape, diag);
    for (i = 0; i < gguf.n_tensors && !status; i++) {
        const struct gguf_tensor *t = &gguf.tensors[i];
        struct stored s = {t->name, t->data, t->type, (size_t)t->dims[1], (size_t)t->dims[0]};

        if (!gguf_place(t->name, (*adapter)->n_layers, &layer, &target, &side)) /* gguf_shape has seen them all */
            continue;
        if (side == 'a')
            status = place_a(&(*adapter)->loras[layer][target], &s, path, diag);
        else
            status = place_b(model, target, &(*adapter)->loras[layer][target], &s, 0, path, diag);
    }
    gguf_close(&gguf);
    return status;
}

enum status adapter_load(struct adapter **adapter, const struct model *model, const char *path, float strength,
                         struct diag *diag)
{
    enum status status;

    *adapter = NULL;
    status = file_is_folder(path) ? load_folder(adapter, model, path, diag) : load_gguf(adapter, model, path, diag);
    if (status) {
        adapter_free(*adapter);
        *adapter = NULL;
        return status;
    }
    (*adapter)->strength = strength;
    adapter_refresh(*adapter);
    return STATUS_OK;
}
