/*
 * keys.h - API keys: what their owners may do, and how much. Where a key is needed at all is
 * api/auth.c's business.
 *
 * A key is "prilora-" and 48 random letters or digits. It is shown once, when it is made; what is
 * kept is its SHA-256. Every function may be called on any thread.
 */
#ifndef KEYS_H
#define KEYS_H

#include "daemon/store.h"

#define KEY_PREFIX   "prilora-"
#define KEY_SIZE     80   /* the key itself, with its NUL */
#define KEY_MAX_NAME 100  /* bytes */
#define KEY_LEAST    32   /* letters or digits after the prefix, of one that was made elsewhere */
#define KEYS_MAX     1000 /* that are not revoked */

/* What a caller must be allowed to do; each includes those before it. */
enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_SUBMIT, SCOPE_ADMIN };
const char *scope_name(enum scope scope);
bool scope_parse(enum scope *out, const char *name); /* read, submit or admin */

struct key {
    char id[ID_SIZE]; /* "key-..." */
    char name[KEY_MAX_NAME + 1];
    enum scope scope;
    int64_t created_at, expires_at, revoked_at, last_used_at; /* 0: never */
    int64_t max_queued_jobs, max_bytes;                       /* 0: no quota */
};

struct keys;

enum prilora_status keys_open(struct keys **out, struct store *store, struct prilora_error *err);
void keys_close(struct keys *keys); /* accepts NULL */

/* Whose key it is. Reads no database. EXPIRED fills *out, too. */
enum key_found { KEY_FOUND, KEY_UNKNOWN, KEY_EXPIRED };
enum key_found keys_find(struct keys *keys, const char *text, struct key *out);

/* Whether the key that was found earlier is still worth something. Reads no database. */
bool keys_is_valid(struct keys *keys, const char *id);

/* key gives name, scope, expires_at and quotas; id and created_at are filled in, the key itself
 * put into `text`. ELIMIT: there are KEYS_MAX. */
enum prilora_status keys_create(struct keys *keys, struct key *key, char text[KEY_SIZE],
                                struct prilora_error *err);
/*
 * keys_adopt - the first line of a credential (credential.h) is an admin key, which gets the
 * credential's name; the one that came that way before is revoked. So a new installation has a
 * first key. One that was revoked stays so. EINVAL: it is no key.
 */
#define KEY_CREDENTIAL "api-key"
enum prilora_status keys_adopt(struct keys *keys, const char *credential,
                               struct prilora_error *err);
/* When it returns, the key is worth nothing. *out is it afterwards; again: as it was. ENOENT. */
enum prilora_status keys_revoke(struct keys *keys, const char *id, struct key *out,
                                struct prilora_error *err);
enum prilora_status keys_get(struct keys *keys, const char *id, struct key *out,
                             struct prilora_error *err); /* ENOENT */
/* Newest first, revoked ones too. ENOENT if `after` (NULL: from the first) is no key's id. */
enum prilora_status keys_list(struct keys *keys, const char *after, size_t limit, struct key **out,
                              size_t *n, bool *has_more, struct prilora_error *err);
bool keys_is_empty(struct keys *keys); /* none that is not revoked */

/* Writes when keys were last used, those that were since the last call. */
void keys_flush(struct keys *keys);

/* ---- quotas ---- */

struct key_usage {
    int64_t queued_jobs, bytes; /* jobs that are not over; of all files that are there */
};
enum prilora_status keys_usage(struct store *store, const char *id, struct key_usage *out,
                               struct prilora_error *err);

/*
 * Whether `more` jobs, or a file of `more` bytes, are within the quota of key `id` (NULL or "":
 * nobody's, without any): else ELIMIT, err->where the quota's name. For the answer to hold, the
 * caller is inside of the transaction, or under the lock, in which he adds it.
 */
enum prilora_status keys_check_jobs(struct store *store, const char *id, int64_t more,
                                    struct prilora_error *err);
enum prilora_status keys_check_bytes(struct store *store, const char *id, int64_t more,
                                     struct prilora_error *err);

#endif
