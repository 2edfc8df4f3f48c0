/* adapter_write.c - writing adapters: PEFT folder and GGUF. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "adapter_file.h"
#include "adapter_parts.h"
#include "file.h"
#include "gguf.h"
#include "json.h"
#include "safetensors.h"

/* Calls visit for every pair in order: layer by layer, target by target. */
typedef enum status visit_pair(void *context, size_t layer, enum target target, const struct lora *lora,
                               struct diag *diag);

static enum status for_each_pair(const struct adapter *adapter, visit_pair *visit, void *context, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t layer;
    int t;

    for (layer = 0; layer < adapter->n_layers; layer++)
        for (t = 0; t < TARGET_COUNT && !status; t++)
            if (adapter->loras[layer][t].rank)
                status = visit(context, layer, (enum target)t, &adapter->loras[layer][t], diag);
    return status;
}

/* B in row-major order [out][R]; file_order: rows as transformers has them. The caller frees. */
static float *rows_of_b(const struct model *model, enum target target, const struct lora *lora, int file_order)
{
    float *b = memory_alloc(lora->out * lora->rank * sizeof *b);
    size_t i, r;

    for (i = 0; b && i < lora->out; i++) {
        float *row = b + (file_order ? adapter_file_row(model, target, i) : i) * lora->rank;

        for (r = 0; r < lora->rank; r++)
            row[r] = lora->b_t[r * lora->out_stride + i];
    }
    return b;
}

/* ---- adapter_config.json ---- */

static void put_targets(struct buffer *out, unsigned targets)
{
    const char *separator = "";
    int t;

    buffer_text(out, "[");
    for (t = 0; t < TARGET_COUNT; t++)
        if (targets >> t & 1) {
            buffer_format(out, "%s\"%s\"", separator, adapter_peft_name((enum target)t));
            separator = ", ";
        }
    buffer_text(out, "]");
}

static void put_config(struct buffer *out, const struct adapter *adapter, const struct model *model)
{
    const struct adapter_shape *s = &adapter->shape;
    const char *base = adapter->base && *adapter->base ? adapter->base : model->path;

    buffer_text(out, "{\n  \"peft_type\": \"LORA\",\n");
    buffer_format(out,
                  "  \"task_type\": \"%s\",\n  \"base_model_name_or_path\": ", s->score ? "TOKEN_CLS" : "CAUSAL_LM");
    json_put_text(out, base);
    buffer_format(out, ",\n  \"r\": %zu,\n  \"lora_alpha\": ", s->rank);
    json_put_number(out, (double)(s->alpha * adapter->strength));
    buffer_text(out, ",\n  \"lora_dropout\": ");
    json_put_number(out, (double)adapter->dropout);
    buffer_text(out, ",\n  \"target_modules\": ");
    put_targets(out, s->targets);
    buffer_format(out,
                  ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": false,\n  \"inference_mode\": true,\n"
                  "  \"init_lora_weights\": true,\n  \"use_rslora\": %s,\n  \"use_dora\": false,\n"
                  "  \"modules_to_save\": %s,\n  \"rank_pattern\": {},\n  \"alpha_pattern\": {}\n}\n",
                  s->rslora ? "true" : "false", s->score ? "[\"score\"]" : "null");
}

static enum status write_config(const struct adapter *adapter, const struct model *model, const char *path,
                                struct diag *diag)
{
    struct buffer text = {0};
    struct file_writer writer;
    enum status status;

    put_config(&text, adapter, model);
    status = text.failed ? diag_fail(diag, STATUS_MEMORY, "%s: out of memory", path) : file_create(&writer, path, diag);
    if (!status) {
        status = file_write(&writer, text.data, text.length, diag);
        if (!status)
            status = file_commit(&writer, diag);
        file_abandon(&writer);
    }
    buffer_free(&text);
    return status;
}

/* ---- adapter_model.safetensors ---- */

struct peft_output {
    struct safetensors_writer writer;
    const struct model *model;
};

static enum status declare_peft(void *context, size_t layer, enum target target, const struct lora *lora,
                                struct diag *diag)
{
    struct peft_output *out = context;
    uint64_t a[2] = {lora->rank, lora->in}, b[2] = {lora->out, lora->rank};
    char name[ADAPTER_NAME];

    (void)diag;
    adapter_peft_tensor(name, layer, target, 'A');
    safetensors_put(&out->writer, name, DTYPE_F32, 2, a);
    adapter_peft_tensor(name, layer, target, 'B');
    safetensors_put(&out->writer, name, DTYPE_F32, 2, b);
    return STATUS_OK;
}

static enum status write_peft_pair(void *context, size_t layer, enum target target, const struct lora *lora,
                                   struct diag *diag)
{
    struct peft_output *out = context;
    float *b = rows_of_b(out->model, target, lora, 1);
    enum status status;

    (void)layer;
    if (!b)
        return diag_fail(diag, STATUS_MEMORY, "adapter: out of memory");
    status = safetensors_write_data(&out->writer, lora->a, lora->rank * lora->in * sizeof(float), diag);
    if (!status)
        status = safetensors_write_data(&out->writer, b, lora->out * lora->rank * sizeof(float), diag);
    memory_free(b);
    return status;
}

static enum status write_peft(const struct adapter *adapter, const struct model *model, const char *path,
                              struct diag *diag)
{
    struct peft_output out = {.model = model};
    uint64_t weight[2] = {2, (uint64_t)model->config.dim}, bias[1] = {2};
    enum status status = for_each_pair(adapter, declare_peft, &out, diag);

    if (adapter->score_weight) {
        safetensors_put(&out.writer, "base_model.model.score.weight", DTYPE_F32, 2, weight);
        safetensors_put(&out.writer, "base_model.model.score.bias", DTYPE_F32, 1, bias);
    }
    if (!status)
        status = safetensors_write_begin(&out.writer, path, diag);
    if (!status)
        status = for_each_pair(adapter, write_peft_pair, &out, diag);
    if (!status && adapter->score_weight)
        status = safetensors_write_data(&out.writer, adapter->score_weight,
                                        (2 * (size_t)model->config.dim + 2) * sizeof(float), diag);
    if (!status)
        status = safetensors_write_commit(&out.writer, diag);
    safetensors_write_abandon(&out.writer);
    return status;
}

/* ---- adapter.gguf ---- */

struct gguf_output {
    struct gguf_writer writer;
    const struct model *model;
};

static enum status declare_gguf(void *context, size_t layer, enum target target, const struct lora *lora,
                                struct diag *diag)
{
    struct gguf_output *out = context;
    uint64_t a[2] = {lora->in, lora->rank}, b[2] = {lora->rank, lora->out};
    char name[ADAPTER_NAME];

    (void)diag;
    snprintf(name, sizeof name, "blk.%zu.%s.weight.lora_a", layer, adapter_gguf_name(target));
    gguf_put_tensor(&out->writer, name, DTYPE_F32, 2, a);
    snprintf(name, sizeof name, "blk.%zu.%s.weight.lora_b", layer, adapter_gguf_name(target));
    gguf_put_tensor(&out->writer, name, DTYPE_F32, 2, b);
    return STATUS_OK;
}

static enum status write_gguf_pair(void *context, size_t layer, enum target target, const struct lora *lora,
                                   struct diag *diag)
{
    struct gguf_output *out = context;
    float *b = rows_of_b(out->model, target, lora, 0);
    enum status status;

    (void)layer;
    if (!b)
        return diag_fail(diag, STATUS_MEMORY, "adapter: out of memory");
    status = gguf_write_data(&out->writer, lora->a, lora->rank * lora->in * sizeof(float), diag);
    if (!status)
        status = gguf_write_data(&out->writer, b, lora->out * lora->rank * sizeof(float), diag);
    memory_free(b);
    return status;
}

static enum status write_gguf(const struct adapter *adapter, const struct model *model, const char *path,
                              struct diag *diag)
{
    struct gguf_output out = {.model = model};
    const char *arch = arch_name(model->config.arch);
    float alpha = adapter->shape.alpha * adapter->strength;
    enum status status;

    if (adapter->shape.rslora)
        alpha *= sqrtf((float)adapter->shape.rank);
    gguf_put_string(&out.writer, "general.type", "adapter", 7);
    gguf_put_string(&out.writer, "general.architecture", arch, strlen(arch));
    gguf_put_string(&out.writer, "adapter.type", "lora", 4);
    gguf_put_f32(&out.writer, "adapter.lora.alpha", alpha);
    status = for_each_pair(adapter, declare_gguf, &out, diag);
    if (!status)
        status = gguf_write_begin(&out.writer, path, diag);
    if (!status)
        status = for_each_pair(adapter, write_gguf_pair, &out, diag);
    if (!status)
        status = gguf_write_commit(&out.writer, diag);
    gguf_write_abandon(&out.writer);
    return status;
}

/* ---- */

static enum status write_folder(const struct adapter *adapter, const struct model *model, const char *folder, int gguf,
                                struct diag *diag)
{
    char path[1024];
    enum status status = file_make_folder(folder, diag);

    if (!status && snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder) >= (int)sizeof path)
        status = diag_fail(diag, STATUS_RANGE, "%s: the path is too long", folder);
    if (!status)
        status = write_peft(adapter, model, path, diag);
    if (!status) {
        snprintf(path, sizeof path, "%s/adapter_config.json", folder);
        status = write_config(adapter, model, path, diag);
    }
    if (!status && gguf) {
        snprintf(path, sizeof path, "%s/adapter.gguf", folder);
        status = write_gguf(adapter, model, path, diag);
    }
    return status;
}

enum status adapter_save(const struct adapter *adapter, const struct model *model, const char *folder,
                         struct diag *diag)
{
    return write_folder(adapter, model, folder, 1, diag);
}

enum status adapter_export(const struct adapter *adapter, const struct model *model, const char *path,
                           struct diag *diag)
{
    size_t n = strlen(path);

    if (n > 5 && strcmp(path + n - 5, ".gguf") == 0)
        return write_gguf(adapter, model, path, diag);
    return write_folder(adapter, model, path, 0, diag);
}
