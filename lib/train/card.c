/* card.c - the model card: what the adapter is, what it reached, and how to load it. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/json.h"
#include "train/export.h"
#include "train/glue.h"
#include "train/naming.h"
#include "train/settings.h"
#include "train/spec.h"

struct text {
    char *data;
    size_t size, room;
    bool failed;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && !t->failed && (size_t)n >= t->room - t->size) {
        size_t room = 2 * t->room + (size_t)n + 1;
        char *data = pl_realloc(t->data, room, 1);

        t->failed = !data;
        t->data = data ? data : t->data;
        t->room = data ? room : t->room;
    }
    if (n >= 0 && !t->failed) {
        vsnprintf(t->data + t->size, t->room - t->size, format, again);
        t->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

/* A string as Python and JSON write it, non-ASCII escaped: what labels contain runs nowhere. */
static void add_quoted(struct text *t, const char *value)
{
    json_t *string = json_string(value);
    char *quoted = string ? pl_json_text(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

    if (quoted)
        add(t, "%s", quoted);
    else
        t->failed = true;
    free(quoted);
    json_decref(string);
}

/* A name inside Markdown's table or prose: no line breaks, nothing that ends a cell. */
static void add_plain(struct text *t, const char *value)
{
    for (; *value; value++)
        add(t, "%c", (unsigned char)*value < ' ' || strchr("|`<>", *value) ? ' ' : *value);
}

static void add_ranks(struct text *t, const struct pl_export *x)
{
    size_t previous = (size_t)-1;

    for (size_t i = 0; i < x->adapter->n_maps; i++) {
        if (!x->adapter->maps[i].rank || x->sites[i].layer == previous)
            continue;
        add(t, "%s%zu", previous == (size_t)-1 ? "" : " ", x->adapter->maps[i].rank);
        previous = x->sites[i].layer;
    }
}

static void add_front(struct text *t, const struct pl_export *x)
{
    add(t, "---\nlibrary_name: peft\nbase_model: ");
    add_quoted(t, x->base_name);
    add(t, "\npipeline_tag: %s\ntags:\n- %s\n---\n\n", pl_naming_of(x->task)->pipeline,
        pl_method_of(x->spec->method)->type);
}

static void add_facts(struct text *t, const struct pl_export *x)
{
    static const char *const how[] = {
        [PRILORA_METHOD_PRILORA] = "PRILoRA",
        [PRILORA_METHOD_LORA] = "LoRA",
        [PRILORA_METHOD_HEAD] = "its task head alone",
    };
    const struct prilora_result *r = x->result;
    const struct pl_glue *glue = pl_glue_of(x->spec->glue);
    const struct pl_map_site *placeholder = pl_export_placeholder(x);
    bool pruned = x->spec->prune_ratio > 0;

    add(t, "# A %s adapter for ", glue ? glue->title : pl_task_word(x->task));
    add_plain(t, x->base_name);
    add(t, "\n\nTrained with prilorad %s by %s on %zu examples (state of step %llu).\n\n",
        PRILORA_VERSION, how[x->spec->method], x->n_train, (unsigned long long)r->best_step);
    if (placeholder)
        add(t,
            "No map of the base is adapted. PEFT loads no adapter without one: the one in this "
            "folder, of\nrank 1 for `%s`,\nhas A and B of zeros only, adds nothing, and no "
            "training "
            "of it changes that.\n\n",
            placeholder->path);
    add(t, "| | |\n|---|---|\n");
    if (!placeholder) {
        add(t, "| ranks, from the first layer to the last | ");
        add_ranks(t, x);
        add(t, " |\n");
    }
    add(t, "| adapter parameters | %zu |\n", x->adapter->n_parameters);
    if (pruned)
        add(t, "| non-zero entries of the A matrices | %zu of %zu |\n", r->n_nonzero,
            r->n_prunable);
    for (size_t i = 0; i < r->n_values; i++)
        add(t, "| validation %s | %.4f |\n", r->values[i].name, r->values[i].value);
    if (r->n_values)
        add(t, "\nThe validation figures are of exactly the numbers in this folder.\n");
}

static void add_labels(struct text *t, const struct pl_export *x)
{
    add(t, "labels = [");
    for (size_t i = 0; i < x->n_labels; i++) {
        add(t, "%s", i ? ", " : "");
        add_quoted(t, x->labels[i]);
    }
    add(t, "]\n");
}

static void add_loading(struct text *t, const struct pl_export *x)
{
    const struct pl_naming *naming = pl_naming_of(x->task);

    add(t,
        "\n## Loading it\n\n"
        "Run this in the folder of the adapter, with `transformers` and `peft` installed; `base` "
        "is a\nname on the hub or a folder.\n\n```python\n"
        "import torch\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModel%s, AutoTokenizer\n\n"
        "base = ",
        naming->class_end);
    add_quoted(t, x->base_name);
    add(t, "\nmax_length = %ld\n", x->spec->max_length);
    if (x->task == PRILORA_TASK_QUESTION_ANSWERING)
        add(t, "doc_stride = %ld\nmax_answer_length = %ld\n", x->spec->doc_stride,
            x->spec->max_answer_length);
    add_labels(t, x);
    add(t, "model = AutoModel%s.from_pretrained(\n    base, num_labels=len(labels),",
        naming->class_end);
    if (naming->problem_type)
        add(t, " problem_type=\"%s\",", naming->problem_type);
    add(t,
        "\n"
        "    id2label=dict(enumerate(labels)), label2id={n: i for i, n in "
        "enumerate(labels)}).float()\n"
        "model = PeftModel.from_pretrained(model, \".\").eval()\n"
        "tokenizer = AutoTokenizer.from_pretrained(base)\n\n"
        "with torch.no_grad():\n%s```\n",
        naming->usage);
}

char *pl_export_card(const struct pl_export *x)
{
    struct text t = {0};

    add_front(&t, x);
    add_facts(&t, x);
    add_loading(&t, x);
    if (t.failed) {
        free(t.data);
        return NULL;
    }
    return t.data;
}
