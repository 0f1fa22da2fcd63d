/* frame.c - see frame.h. What stands in families' own files needs no reading: family.c has it. */
#include "tok/frame.h"

#include <string.h>

#define MAX_ITEMS 8 /* of a template; a pair with two separators has six */

static enum prilora_status bad(const char *folder, enum prilora_status status, const char *what,
                               struct prilora_error *err)
{
    return pl_fail(err, status, "%s/tokenizer.json: post_processor: %s", folder, what);
}

static int32_t id_of(const json_t *value)
{
    const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

    return id >= 0 && id < PL_MAX_TOKEN_ID ? (int32_t)id : -1;
}

/* {"sep": [text, id], "cls": [text, id]} */
static enum prilora_status read_named(struct pl_frame *out, const json_t *processor,
                                      const char *folder, struct prilora_error *err)
{
    out->first = id_of(json_array_get(json_object_get(processor, "cls"), 1));
    out->last = id_of(json_array_get(json_object_get(processor, "sep"), 1));
    if (out->first < 0 || out->last < 0)
        return bad(folder, PRILORA_EFORMAT, "cls and sep are no tokens with ids", err);
    return PRILORA_OK;
}

static enum prilora_status read_bert(struct pl_frame *out, const json_t *processor,
                                     const char *folder, struct prilora_error *err)
{
    out->n_separators = 1;
    out->pair_type = 1;
    return read_named(out, processor, folder, err);
}

static enum prilora_status read_roberta(struct pl_frame *out, const json_t *processor,
                                        const char *folder, struct prilora_error *err)
{
    out->n_separators = 2;
    out->pair_type = 0;
    return read_named(out, processor, folder, err);
}

/* ---- templates ------------------------------------------------------------------------------ */

struct item {
    char sequence; /* 'A', 'B', or 0: a special token */
    int32_t id;
    json_int_t type;
};

/* One of a template's items; false: none that is read. */
static bool read_item(struct item *out, const json_t *value, const json_t *specials)
{
    const json_t *sequence = json_object_get(value, "Sequence");
    const json_t *special = json_object_get(value, "SpecialToken");
    const json_t *inner = sequence ? sequence : special;
    const char *name = json_string_value(json_object_get(inner, "id"));
    const json_t *ids;

    *out = (struct item){.id = -1, .type = json_integer_value(json_object_get(inner, "type_id"))};
    if (!name)
        return false;
    if (sequence) {
        out->sequence = name[0];
        return strcmp(name, "A") == 0 || strcmp(name, "B") == 0;
    }
    ids = json_object_get(json_object_get(specials, name), "ids");
    out->id = json_array_size(ids) == 1 ? id_of(json_array_get(ids, 0)) : -1;
    return out->id >= 0;
}

/* The number of items, 0 if they cannot be read. */
static size_t read_items(struct item items[MAX_ITEMS], const json_t *list, const json_t *specials)
{
    const size_t n = json_array_size(list);

    for (size_t i = 0; i < n && i < MAX_ITEMS; i++)
        if (!read_item(&items[i], json_array_get(list, i), specials))
            return 0;
    return n <= MAX_ITEMS ? n : 0;
}

static bool is(const struct item *item, char sequence, int32_t id, json_int_t type)
{
    return item->sequence == sequence && (sequence || item->id == id) && item->type == type;
}

static enum prilora_status read_template(struct pl_frame *out, const json_t *processor,
                                         const char *folder, struct prilora_error *err)
{
    const json_t *specials = json_object_get(processor, "special_tokens");
    struct item one[MAX_ITEMS], two[MAX_ITEMS];
    const size_t n_one = read_items(one, json_object_get(processor, "single"), specials);
    const size_t n = read_items(two, json_object_get(processor, "pair"), specials);
    bool same = n_one == 3 && n >= 5;

    if (same) {
        *out = (struct pl_frame){one[0].id, one[2].id, n - 4, two[n - 1].type == 1};
        same = is(&one[0], 0, out->first, 0) && is(&one[1], 'A', 0, 0) &&
               is(&one[2], 0, out->last, 0) && is(&two[0], 0, out->first, 0) &&
               is(&two[1], 'A', 0, 0) && is(&two[n - 2], 'B', 0, out->pair_type) &&
               is(&two[n - 1], 0, out->last, out->pair_type);
    }
    for (size_t i = 2; same && i < n - 2; i++)
        same = is(&two[i], 0, out->last, 0);
    if (same)
        return PRILORA_OK;
    return bad(folder, PRILORA_EUNSUPPORTED,
               "a template other than first A last, and first A last B last, is not supported",
               err);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static enum prilora_status read_nothing(struct pl_frame *out, const json_t *processor,
                                        const char *folder, struct prilora_error *err)
{
    (void)out, (void)processor, (void)folder, (void)err;
    return PRILORA_OK;
}

static enum prilora_status read_one(struct pl_frame *out, const json_t *processor,
                                    const char *folder, struct prilora_error *err)
{
    static const struct {
        const char *type;
        enum prilora_status (*read)(struct pl_frame *out, const json_t *processor,
                                    const char *folder, struct prilora_error *err);
    } types[] = {
        {"BertProcessing", read_bert},
        {"RobertaProcessing", read_roberta},
        {"TemplateProcessing", read_template},
        {"ByteLevel", read_nothing}, /* trims offsets, as is done anyway */
    };
    const char *type = json_string_value(json_object_get(processor, "type"));

    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].type) == 0)
            return types[i].read(out, processor, folder, err);
    return pl_fail(err, PRILORA_EUNSUPPORTED,
                   "%s/tokenizer.json: post_processor of type \"%.40s\" is not supported", folder,
                   type ? type : "(none)");
}

enum prilora_status pl_frame_read(struct pl_frame *out, const json_t *post_processor,
                                  const char *folder, struct prilora_error *err)
{
    const char *type = json_string_value(json_object_get(post_processor, "type"));
    const json_t *list = json_object_get(post_processor, "processors");
    enum prilora_status rc = PRILORA_OK;

    *out = (struct pl_frame){.first = -1};
    if (!type || strcmp(type, "Sequence") != 0)
        rc = read_one(out, post_processor, folder, err);
    else
        for (size_t i = 0; rc == PRILORA_OK && i < json_array_size(list); i++)
            rc = read_one(out, json_array_get(list, i), folder, err);
    if (rc == PRILORA_OK && out->first < 0)
        rc = bad(folder, PRILORA_EUNSUPPORTED, "adds no special tokens: not supported", err);
    return rc;
}
