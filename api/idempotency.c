/* idempotency.c - see idempotency.h. */
#include "api/idempotency.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/respond.h"

#define HEADER        "Idempotency-Key"
#define RETRY_AFTER_S 1

/* ---- what makes the request what it is ---- */

/* Its length goes first: no two lists of texts are the same bytes. */
static void add(struct sha256_ctx *hash, const void *bytes, size_t n)
{
    const uint64_t size = n;

    sha256_update(hash, sizeof size, (const uint8_t *)&size);
    sha256_update(hash, n, bytes);
}

static void add_text(struct sha256_ctx *hash, const char *text)
{
    add(hash, text ? text : "", text ? strlen(text) : 0);
}

static void begin_hash(struct sha256_ctx *hash, const struct request *r)
{
    sha256_init(hash);
    add_text(hash, r->method);
    add_text(hash, r->path);
}

static void end_hash(struct sha256_ctx *hash, char hex[65])
{
    uint8_t bytes[SHA256_DIGEST_SIZE];

    sha256_digest(hash, sizeof bytes, bytes);
    base16_encode_update(hex, sizeof bytes, bytes);
    hex[64] = '\0';
}

/* ---- keys of requests that are being answered ---- */

static bool same_key(const struct idempotency_claim *a, const struct idempotency_claim *b)
{
    return strcmp(a->key, b->key) == 0 && strcmp(a->caller, b->caller) == 0;
}

/* The request's key becomes its own; false: it is another one's. */
static bool hold(struct request *r)
{
    struct api *api = r->api;
    const struct request *other;

    pthread_mutex_lock(&api->lock);
    other = api->holders;
    while (other && !same_key(&other->idempotency.claim, &r->idempotency.claim))
        other = other->idempotency.next;
    if (!other) {
        r->idempotency.is_held = true;
        r->idempotency.next = api->holders;
        api->holders = r;
    }
    pthread_mutex_unlock(&api->lock);
    return !other;
}

void idempotency_release(struct request *r)
{
    struct request **at;

    if (!r->idempotency.is_held)
        return;
    pthread_mutex_lock(&r->api->lock);
    for (at = &r->api->holders; *at != r; at = &(*at)->idempotency.next)
        ;
    *at = r->idempotency.next;
    pthread_mutex_unlock(&r->api->lock);
    r->idempotency.is_held = false;
}

/* ---- checking ---- */

static bool is_key(const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i < n; i++) {
        if (key[i] < ' ' || key[i] > '~')
            return false;
    }
    return n >= 1 && n <= IDEMPOTENCY_MAX_KEY;
}

static void respond_replay(struct request *r, char *answer)
{
    struct json_out out = {.text = answer, .n = strlen(answer), .room = strlen(answer) + 1};

    respond_written(r, 200, &out);
    respond_header(r, "Idempotent-Replayed", "true");
}

static void respond_being_answered(struct request *r)
{
    respond_later(r, 409, "idempotency_in_progress", HEADER, RETRY_AFTER_S,
                  "the first request with this " HEADER " is still being answered");
}

/* The claim is complete: has it been answered before, is it being answered? */
static bool look_up(struct request *r)
{
    struct prilora_error err;
    char *answer;
    enum prilora_status rc;

    if (!hold(r)) {
        respond_being_answered(r);
        return false;
    }
    rc = idempotency_find(r->api->store, &r->idempotency.claim, &answer, &err);
    if (rc == PRILORA_EMISMATCH)
        respond_error(r, 422, "idempotency_key_reuse", HEADER,
                      "this " HEADER " came with another request before: each needs its own");
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    else if (answer)
        respond_replay(r, answer);
    return rc == PRILORA_OK && !answer;
}

/* False: answered. *has tells whether the request has a key. */
static bool read_key(struct request *r, bool *has)
{
    struct idempotency_claim *claim = &r->idempotency.claim;
    const char *key = request_header(r, HEADER);

    *has = key != NULL;
    if (!key)
        return true;
    if (!is_key(key)) {
        respond_error(r, 400, "invalid_value", HEADER,
                      HEADER " must be 1 to %d printable ASCII characters", IDEMPOTENCY_MAX_KEY);
        return false;
    }
    snprintf(claim->key, sizeof claim->key, "%s", key);
    snprintf(claim->caller, sizeof claim->caller, "%s", r->caller);
    return true;
}

bool idempotency_check(struct request *r)
{
    struct sha256_ctx hash;
    bool has;

    if (!read_key(r, &has) || !has)
        return !r->answer.is_given;
    begin_hash(&hash, r);
    add(&hash, r->body ? r->body : "", r->n_body);
    end_hash(&hash, r->idempotency.claim.request);
    return look_up(r);
}

bool idempotency_check_form(struct request *r, const struct form *form, const char *sha256)
{
    struct sha256_ctx hash;
    bool has;

    if (!read_key(r, &has) || !has)
        return !r->answer.is_given;
    begin_hash(&hash, r);
    for (int i = 0; i < FORM_N_FIELDS; i++)
        add_text(&hash, form_value(form, (enum form_field)i));
    add_text(&hash, form->filename);
    add_text(&hash, sha256);
    end_hash(&hash, r->idempotency.claim.request);
    return look_up(r);
}
