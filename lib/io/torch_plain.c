/*
 * torch_plain.c - the form in which torch.save wrote before version 1.6: one pickle after another
 * (magic number, protocol, system, state dict, keys of the storages), then each storage: eight
 * bytes of element count, and the elements. Tensors stay in the file map.
 */
#include <string.h>

#include "io/torch.h"

#define PROTOCOL 1001

/* The pickled magic number 0x1950a86a20f9469cfc6c; its second byte is the pickle protocol. */
static const unsigned char magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                      0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

bool pl_torch_is_plain(const struct pl_torch *t)
{
    return t->file_size >= sizeof magic && memcmp(t->file, magic, 1) == 0 &&
           memcmp(t->file + 2, magic + 2, sizeof magic - 2) == 0;
}

/* Reads the pickle at *at and moves past it. */
static enum prilora_status next_pickle(struct pl_pickle *out, const struct pl_torch *t, size_t *at,
                                       struct prilora_error *err)
{
    size_t used;
    enum prilora_status rc =
        pl_pickle_read(out, t->file + *at, t->file_size - *at, &used, t->path, err);

    *at += used;
    return rc;
}

/* The protocol, and the system that wrote the file. */
static enum prilora_status read_prologue(const struct pl_torch *t, size_t *at,
                                         struct prilora_error *err)
{
    const struct pl_pickle_value *value;
    struct pl_pickle p;
    enum prilora_status rc = next_pickle(&p, t, at, err);

    if (rc != PRILORA_OK)
        return rc;
    value = &p.values[p.root];
    if (value->kind != PL_PICKLE_INT || value->as.integer != PROTOCOL)
        rc = pl_fail(err, PRILORA_EUNSUPPORTED, "%s: the protocol of the file is not %d", t->path,
                     PROTOCOL);
    pl_pickle_free(&p);
    if (rc == PRILORA_OK)
        rc = next_pickle(&p, t, at, err);
    if (rc != PRILORA_OK)
        return rc;
    value = pl_pickle_get(&p, &p.values[p.root], "little_endian");
    if (!value || value->kind != PL_PICKLE_BOOL)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: does not tell its byte order", t->path);
    else if (!value->as.integer)
        rc = pl_fail(err, PRILORA_EUNSUPPORTED, "%s: was written big endian", t->path);
    pl_pickle_free(&p);
    return rc;
}

/* One storage at *at. */
static enum prilora_status read_storage(const struct pl_torch *t, const struct pl_pickle_value *key,
                                        size_t *at, struct prilora_error *err)
{
    struct pl_torch_slot *slot;
    uint64_t n;

    if (key->kind != PL_PICKLE_TEXT)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the key of a storage is %s", t->path,
                       pl_pickle_kind_name(key->kind));
    slot = pl_torch_find_slot(t, key->as.text.bytes, key->as.text.length);
    if (!slot || slot->data)
        return pl_fail(err, PRILORA_EFORMAT, "%s: storage '%.*s' is listed %s", t->path,
                       key->as.text.length > 80 ? 80 : (int)key->as.text.length, key->as.text.bytes,
                       slot ? "twice" : "but no tensor uses it");
    if (t->file_size - *at < 8 || slot->size > t->file_size - *at - 8)
        return pl_fail(err, PRILORA_EFORMAT, "%s: ends inside storage '%.*s' of %zu bytes", t->path,
                       slot->key_length > 80 ? 80 : (int)slot->key_length, slot->key, slot->size);
    n = pl_u64_le(t->file + *at);
    if (n != slot->n_elements)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: storage '%.*s' has %llu elements, but its tensors count on %zu",
                       t->path, slot->key_length > 80 ? 80 : (int)slot->key_length, slot->key,
                       (unsigned long long)n, slot->n_elements);
    slot->data = t->file + *at + 8;
    *at += 8 + slot->size;
    return PRILORA_OK;
}

static enum prilora_status read_storages(const struct pl_torch *t, const struct pl_pickle *keys,
                                         size_t *at, struct prilora_error *err)
{
    const struct pl_pickle_value *list = &keys->values[keys->root];
    enum prilora_status rc = PRILORA_OK;

    if (list->kind != PL_PICKLE_LIST)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the keys of the storages are %s", t->path,
                       pl_pickle_kind_name(list->kind));
    for (uint32_t i = list->as.items.first; i && rc == PRILORA_OK; i = keys->items[i].next)
        rc = read_storage(t, &keys->values[keys->items[i].value], at, err);
    for (size_t i = 0; i < t->n_slots && rc == PRILORA_OK; i++)
        if (!t->slots[i].data)
            rc = pl_fail(err, PRILORA_EFORMAT, "%s: storage '%.*s' is missing", t->path,
                         t->slots[i].key_length > 80 ? 80 : (int)t->slots[i].key_length,
                         t->slots[i].key);
    return rc;
}

enum prilora_status pl_torch_read_plain(struct pl_torch *t, struct prilora_error *err)
{
    size_t at = sizeof magic;
    enum prilora_status rc = read_prologue(t, &at, err);
    struct pl_pickle keys;

    if (rc == PRILORA_OK)
        rc = next_pickle(&t->pickle, t, &at, err);
    if (rc == PRILORA_OK)
        rc = pl_torch_make_slots(t, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = next_pickle(&keys, t, &at, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = read_storages(t, &keys, &at, err);
    pl_pickle_free(&keys);
    return rc;
}
