/*
 * keys.c - see keys.h: the keys that are not revoked in memory, all of them in the database.
 *
 * A request looks in memory only. What is compared there are SHA-256s of keys: the first 64 bits of
 * all of them, without stopping, and then the one that they are equal to with nettle's memeql_sec.
 * So the time tells how many keys there are, not how near a guess came; and of a hash nobody can
 * choose the beginning.
 *
 * A new key is in memory before it is in the database, a revoked one until after: a key that
 * nobody was told of yet harms nobody, and one that is gone from the database never comes back.
 */
#include "daemon/keys.h"

#include <inttypes.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define HASH_SIZE 65 /* hex, NUL */

struct entry {
    struct key key;
    char sha256[HASH_SIZE];
    _Atomic int64_t used_at; /* newer than the row's last_used_at: to be written */
};

struct keys {
    struct store *store;
    pthread_rwlock_t lock; /* guards the entries; used_at is written under its reading side */
    size_t n;
    uint64_t beginnings[KEYS_MAX]; /* of the entries' hashes, close together */
    struct entry entries[KEYS_MAX];
};

static const char *const scope_names[] = {"none", "read", "submit", "admin"};

const char *scope_name(enum scope scope)
{
    return scope_names[scope];
}

bool scope_parse(enum scope *out, const char *name)
{
    for (enum scope s = SCOPE_READ; s <= SCOPE_ADMIN; s++) {
        if (strcmp(scope_names[s], name) == 0) {
            *out = s;
            return true;
        }
    }
    return false;
}

static void hash_key(const char *text, char out[HASH_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    struct sha256_ctx ctx;
    uint8_t bytes[SHA256_DIGEST_SIZE];

    sha256_init(&ctx);
    sha256_update(&ctx, strlen(text), (const uint8_t *)text);
    sha256_digest(&ctx, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[HASH_SIZE - 1] = '\0';
}

static uint64_t beginning(const char *sha256)
{
    char digits[17];

    snprintf(digits, sizeof digits, "%.16s", sha256);
    return strtoull(digits, NULL, 16);
}

/* ---- rows ---- */

#define COLUMNS                                                                                    \
    "id, name, scope, created_at, expires_at, revoked_at, last_used_at, max_queued_jobs, "         \
    "max_bytes, sha256"

static enum prilora_status read_entry(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    struct entry *entry = out;
    struct key *key = &entry->key;
    const char *id = (const char *)sqlite3_column_text(row, 0);
    const char *name = (const char *)sqlite3_column_text(row, 1);
    const char *scope = (const char *)sqlite3_column_text(row, 2);
    const char *sha256 = (const char *)sqlite3_column_text(row, 9);

    *entry = (struct entry){0};
    if (!id || !name || !sha256 || !scope || !scope_parse(&key->scope, scope))
        return error_memory(err); /* the schema allows nothing else */
    snprintf(key->id, sizeof key->id, "%s", id);
    snprintf(key->name, sizeof key->name, "%s", name);
    snprintf(entry->sha256, sizeof entry->sha256, "%s", sha256);
    key->created_at = sqlite3_column_int64(row, 3);
    key->expires_at = sqlite3_column_int64(row, 4);
    key->revoked_at = sqlite3_column_int64(row, 5);
    key->last_used_at = sqlite3_column_int64(row, 6);
    key->max_queued_jobs = sqlite3_column_int64(row, 7);
    key->max_bytes = sqlite3_column_int64(row, 8);
    return PRILORA_OK;
}

static enum prilora_status read_key(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    struct entry entry;
    enum prilora_status rc = read_entry(row, &entry, err);

    if (rc == PRILORA_OK)
        *(struct key *)out = entry.key;
    return rc;
}

static enum prilora_status no_such_key(const char *id, struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOENT, "no such key: %s", id);
}

/* The row that the query found; ENOENT if it found none. */
static enum prilora_status read_one(struct store *store, sqlite3_stmt *s, const char *id,
                                    struct key *out, struct prilora_error *err)
{
    const struct store_rows rows = {sizeof *out, 1, read_key, "read a key's row"};
    enum prilora_status rc;
    void *found;
    size_t n;

    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &found, &n, NULL, err);
    if (rc == PRILORA_OK && n == 0)
        rc = no_such_key(id, err);
    if (rc == PRILORA_OK)
        *out = *(struct key *)found;
    free(found);
    return rc;
}

/* ---- memory ---- */

enum prilora_status keys_open(struct keys **out, struct store *store, struct prilora_error *err)
{
    const struct store_rows rows = {sizeof(struct entry), KEYS_MAX, read_entry, "read the keys"};
    struct keys *keys = calloc(1, sizeof *keys);
    enum prilora_status rc;
    sqlite3_stmt *s;
    void *entries = NULL;
    size_t n = 0;

    *out = NULL;
    if (!keys)
        return error_memory(err);
    keys->store = store;
    s = store_query(store, err, "SELECT " COLUMNS " FROM keys WHERE revoked_at = 0 ORDER BY row",
                    "");
    rc = s ? store_collect(store, s, &rows, &entries, &n, NULL, err) : err->status;
    if (rc != PRILORA_OK) {
        free(entries);
        free(keys);
        return rc;
    }
    if (n > 0)
        memcpy(keys->entries, entries, n * sizeof(struct entry));
    free(entries);
    keys->n = n;
    for (size_t i = 0; i < n; i++)
        keys->beginnings[i] = beginning(keys->entries[i].sha256);
    pthread_rwlock_init(&keys->lock, NULL);
    *out = keys;
    return PRILORA_OK;
}

void keys_close(struct keys *keys)
{
    if (!keys)
        return;
    keys_flush(keys);
    pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

enum key_found keys_find(struct keys *keys, const char *text, struct key *out)
{
    char sha256[HASH_SIZE];
    int64_t now = store_now();
    uint64_t first;
    size_t at = KEYS_MAX;
    bool found;

    hash_key(text, sha256);
    first = beginning(sha256);
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->n; i++)
        at = keys->beginnings[i] == first ? i : at;
    found = at < keys->n && memeql_sec(sha256, keys->entries[at].sha256, HASH_SIZE);
    if (found) {
        *out = keys->entries[at].key;
        if (out->expires_at == 0 || out->expires_at > now)
            atomic_store(&keys->entries[at].used_at, now);
    }
    pthread_rwlock_unlock(&keys->lock);
    if (!found)
        return KEY_UNKNOWN;
    return out->expires_at == 0 || out->expires_at > now ? KEY_FOUND : KEY_EXPIRED;
}

bool keys_is_valid(struct keys *keys, const char *id)
{
    int64_t now = store_now();
    bool valid = false;

    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->n && !valid; i++) {
        const struct key *key = &keys->entries[i].key;

        valid = strcmp(key->id, id) == 0 && (key->expires_at == 0 || key->expires_at > now);
    }
    pthread_rwlock_unlock(&keys->lock);
    return valid;
}

static bool remember(struct keys *keys, const struct key *key, const char *sha256)
{
    bool room;

    pthread_rwlock_wrlock(&keys->lock);
    room = keys->n < KEYS_MAX;
    if (room) {
        struct entry *entry = &keys->entries[keys->n];

        keys->beginnings[keys->n++] = beginning(sha256);
        entry->key = *key;
        memcpy(entry->sha256, sha256, HASH_SIZE);
        atomic_store(&entry->used_at, 0);
    }
    pthread_rwlock_unlock(&keys->lock);
    return room;
}

static void forget(struct keys *keys, const char *id)
{
    pthread_rwlock_wrlock(&keys->lock);
    for (size_t i = 0; i < keys->n; i++) {
        if (strcmp(keys->entries[i].key.id, id) == 0) {
            keys->entries[i] = keys->entries[--keys->n];
            keys->beginnings[i] = keys->beginnings[keys->n];
            break;
        }
    }
    pthread_rwlock_unlock(&keys->lock);
}

bool keys_is_empty(struct keys *keys)
{
    bool empty;

    pthread_rwlock_rdlock(&keys->lock);
    empty = keys->n == 0;
    pthread_rwlock_unlock(&keys->lock);
    return empty;
}

/* What is in memory and not yet in the row. */
static void add_last_use(struct keys *keys, struct key *key)
{
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; i < keys->n; i++) {
        int64_t used_at = atomic_load(&keys->entries[i].used_at);

        if (used_at > key->last_used_at && strcmp(keys->entries[i].key.id, key->id) == 0)
            key->last_used_at = used_at;
    }
    pthread_rwlock_unlock(&keys->lock);
}

/* ---- changes ---- */

static enum prilora_status add(struct keys *keys, struct key *key, const char *sha256,
                               struct prilora_error *err)
{
    enum prilora_status rc;

    store_new_id(key->id, "key-");
    key->created_at = store_now();
    key->revoked_at = key->last_used_at = 0;
    if (!remember(keys, key, sha256))
        return error_set(err, PRILORA_ELIMIT,
                         "there are %d keys, and no more are kept: revoke some", KEYS_MAX);
    rc = store_run(keys->store, err, "write a key's row",
                   "INSERT INTO keys (id, name, scope, sha256, created_at, expires_at, "
                   "max_queued_jobs, max_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   "ttttiiii", key->id, key->name, scope_name(key->scope), sha256, key->created_at,
                   key->expires_at, key->max_queued_jobs, key->max_bytes);
    if (rc != PRILORA_OK)
        forget(keys, key->id);
    return rc;
}

enum prilora_status keys_create(struct keys *keys, struct key *key, char text[KEY_SIZE],
                                struct prilora_error *err)
{
    char begin[ID_SIZE], end[ID_SIZE], sha256[HASH_SIZE];

    store_new_id(begin, KEY_PREFIX);
    store_new_id(end, "");
    snprintf(text, KEY_SIZE, "%s%s", begin, end);
    hash_key(text, sha256);
    return add(keys, key, sha256, err);
}

/* ---- a key that a credential brings ---- */

/* How a row of this hash stands; *found false: there is none. */
static enum prilora_status find_row(struct keys *keys, const char *sha256, bool *found,
                                    bool *is_revoked, struct prilora_error *err)
{
    sqlite3_stmt *s =
        store_query(keys->store, err, "SELECT revoked_at FROM keys WHERE sha256 = ?", "t", sha256);
    enum prilora_status rc =
        s ? store_step(keys->store, s, found, "look for a key", err) : err->status;

    if (rc != PRILORA_OK || !*found)
        return rc;
    *is_revoked = sqlite3_column_int64(s, 0) != 0;
    sqlite3_reset(s);
    return PRILORA_OK;
}

static enum prilora_status revoke_named(struct keys *keys, const char *name,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct key revoked;

    for (size_t i = keys->n; i-- > 0 && rc == PRILORA_OK;) /* at the start nobody else is there */
        if (strcmp(keys->entries[i].key.name, name) == 0)
            rc = keys_revoke(keys, keys->entries[i].key.id, &revoked, err);
    return rc;
}

static enum prilora_status adopt(struct keys *keys, const char *name, const char *text,
                                 struct prilora_error *err)
{
    struct key key = {.scope = SCOPE_ADMIN};
    char sha256[HASH_SIZE];
    bool found = false, is_revoked = false;
    enum prilora_status rc;

    hash_key(text, sha256);
    rc = find_row(keys, sha256, &found, &is_revoked, err);
    if (rc == PRILORA_OK && is_revoked)
        log_warn("keys", "the key in the credential %s was revoked, and stays so", name);
    if (rc != PRILORA_OK || found)
        return rc;
    snprintf(key.name, sizeof key.name, "%s", name);
    rc = revoke_named(keys, name, err);
    if (rc == PRILORA_OK)
        rc = add(keys, &key, sha256, err);
    if (rc == PRILORA_OK)
        log_info("keys", "%s: the admin key that the credential %s has", key.id, name);
    return rc;
}

static bool is_key(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n_prefix = strlen(KEY_PREFIX);

    return strncmp(text, KEY_PREFIX, n_prefix) == 0 && strlen(text) >= n_prefix + KEY_LEAST &&
           strlen(text) < KEY_SIZE && text[n_prefix + strspn(text + n_prefix, letters)] == '\0';
}

enum prilora_status keys_adopt(struct keys *keys, const char *credential, struct prilora_error *err)
{
    char *path = credential_path("the API key", credential, err);
    char *text = path ? path_first_line(path) : NULL;
    enum prilora_status rc;

    if (!path)
        return err->status;
    if (!text)
        rc = error_errno(err, path, "read the API key");
    else if (!is_key(text))
        rc = error_set(err, PRILORA_EINVAL,
                       "%s: the first line is no API key: \"" KEY_PREFIX
                       "\" and %d or more letters or digits",
                       path, KEY_LEAST);
    else
        rc = adopt(keys, credential, text, err);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    free(path);
    return rc;
}

enum prilora_status keys_revoke(struct keys *keys, const char *id, struct key *out,
                                struct prilora_error *err)
{
    enum prilora_status rc = keys_get(keys, id, out, err);

    if (rc == PRILORA_OK)
        rc = store_run(keys->store, err, "revoke a key",
                       "UPDATE keys SET revoked_at = ?2, last_used_at = ?3 "
                       "WHERE id = ?1 AND revoked_at = 0",
                       "tii", id, store_now(), out->last_used_at);
    if (rc == PRILORA_OK) {
        forget(keys, id);
        rc = keys_get(keys, id, out, err);
    }
    return rc;
}

void keys_flush(struct keys *keys)
{
    for (size_t i = 0;; i++) {
        struct prilora_error err;
        char id[ID_SIZE];
        int64_t used_at = 0;
        bool more;

        pthread_rwlock_rdlock(&keys->lock);
        more = i < keys->n;
        if (more) {
            memcpy(id, keys->entries[i].key.id, sizeof id);
            used_at = atomic_exchange(&keys->entries[i].used_at, 0);
        }
        pthread_rwlock_unlock(&keys->lock);
        if (!more)
            return;
        if (used_at > 0 && store_run(keys->store, &err, "write when a key was used",
                                     "UPDATE keys SET last_used_at = MAX(last_used_at, ?2) "
                                     "WHERE id = ?1",
                                     "ti", id, used_at) != PRILORA_OK)
            log_warn("keys", "%s", err.message); /* only the date is lost */
    }
}

/* ---- looking ---- */

enum prilora_status keys_get(struct keys *keys, const char *id, struct key *out,
                             struct prilora_error *err)
{
    sqlite3_stmt *s =
        store_query(keys->store, err, "SELECT " COLUMNS " FROM keys WHERE id = ?", "t", id);
    enum prilora_status rc = read_one(keys->store, s, id, out, err);

    if (rc == PRILORA_OK)
        add_last_use(keys, out);
    return rc;
}

enum prilora_status keys_list(struct keys *keys, const char *after, size_t limit, struct key **out,
                              size_t *n, bool *has_more, struct prilora_error *err)
{
    const struct store_rows rows = {sizeof **out, limit, read_key, "list keys"};
    enum prilora_status rc = PRILORA_OK;
    struct key first;
    sqlite3_stmt *s;
    void *list;

    *out = NULL;
    *n = 0;
    *has_more = false;
    if (after)
        rc = keys_get(keys, after, &first, err);
    if (rc != PRILORA_OK)
        return rc;
    s = store_query(keys->store, err,
                    "SELECT " COLUMNS " FROM keys WHERE ?1 IS NULL OR "
                    "row < (SELECT row FROM keys WHERE id = ?1) ORDER BY row DESC",
                    "t", after);
    if (!s)
        return err->status;
    rc = store_collect(keys->store, s, &rows, &list, n, has_more, err);
    if (rc != PRILORA_OK) {
        free(list);
        *n = 0;
        return rc;
    }
    *out = list;
    for (size_t i = 0; i < *n; i++)
        add_last_use(keys, &(*out)[i]);
    return PRILORA_OK;
}

/* ---- quotas ---- */

#define OPEN_JOBS                                                                                  \
    "(SELECT count(*) FROM jobs WHERE key_id = ?1 AND status IN ('validating_files', 'queued', "   \
    "'running', 'paused'))"
#define KEPT_BYTES "(SELECT coalesce(sum(bytes), 0) FROM files WHERE key_id = ?1)"

/* One row of two numbers; ENOENT: no row. */
static enum prilora_status read_pair(struct store *store, sqlite3_stmt *s, const char *id,
                                     int64_t pair[2], struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read what a key has used", err);
    if (rc == PRILORA_OK && !row)
        rc = no_such_key(id, err);
    if (rc == PRILORA_OK) {
        pair[0] = sqlite3_column_int64(s, 0);
        pair[1] = sqlite3_column_int64(s, 1);
        sqlite3_reset(s);
    }
    return rc;
}

enum prilora_status keys_usage(struct store *store, const char *id, struct key_usage *out,
                               struct prilora_error *err)
{
    int64_t pair[2] = {0, 0};
    enum prilora_status rc =
        read_pair(store, store_query(store, err, "SELECT " OPEN_JOBS ", " KEPT_BYTES, "t", id), id,
                  pair, err);

    *out = (struct key_usage){pair[0], pair[1]};
    return rc;
}

enum prilora_status keys_check_jobs(struct store *store, const char *id, int64_t more,
                                    struct prilora_error *err)
{
    int64_t pair[2];
    enum prilora_status rc;

    if (!id || !*id)
        return PRILORA_OK;
    rc = read_pair(store,
                   store_query(store, err,
                               "SELECT max_queued_jobs, " OPEN_JOBS " FROM keys WHERE id = ?1", "t",
                               id),
                   id, pair, err);
    if (rc != PRILORA_OK || pair[0] == 0 || (pair[1] <= pair[0] && more <= pair[0] - pair[1]))
        return rc;
    if (more == 1)
        return error_set_at(err, PRILORA_ELIMIT, "max_queued_jobs",
                            "max_queued_jobs of this key is %" PRId64 ", and %" PRId64
                            " of its jobs are not over yet",
                            pair[0], pair[1]);
    return error_set_at(err, PRILORA_ELIMIT, "max_queued_jobs",
                        "max_queued_jobs of this key is %" PRId64 ", and %" PRId64
                        " of its jobs are not over yet: %" PRId64 " more do not fit",
                        pair[0], pair[1], more);
}

enum prilora_status keys_check_bytes(struct store *store, const char *id, int64_t more,
                                     struct prilora_error *err)
{
    int64_t pair[2];
    enum prilora_status rc;

    if (!id || !*id)
        return PRILORA_OK;
    rc = read_pair(store,
                   store_query(store, err,
                               "SELECT max_bytes, " KEPT_BYTES " FROM keys WHERE id = ?1", "t", id),
                   id, pair, err);
    if (rc != PRILORA_OK || pair[0] == 0 || (pair[1] <= pair[0] && more <= pair[0] - pair[1]))
        return rc;
    return error_set_at(err, PRILORA_ELIMIT, "max_bytes",
                        "max_bytes of this key is %" PRId64 ": its files have %" PRId64
                        " bytes, and %" PRId64 " more do not fit",
                        pair[0], pair[1], more);
}
