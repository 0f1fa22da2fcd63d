/*
 * hub.h - a hub of models as Hugging Face's behaves, on two addresses of this machine, for tests:
 * the listing, files by commit, large ones by a redirect to another host that knows no tokens, and
 * every way to break that real ones have.
 */
#ifndef TEST_HUB_H
#define TEST_HUB_H

#include <stdbool.h>
#include <stddef.h>

#define TEST_HUB_MODEL  "owner/mini"
#define TEST_HUB_COMMIT "1111111111111111111111111111111111111111"
#define TEST_HUB_LATER  "2222222222222222222222222222222222222222"

struct test_hub;

/* What a file's transfers do. All zero: they are as they should be. */
struct test_hub_trouble {
    size_t break_after; /* bytes of the whole file; then the connection is cut ... */
    int n_breaks;       /* ... so often */
    int status;         /* instead of 200 ... */
    int n_statuses;     /* ... so often */
    int retry_after_s;  /* with it */
    int n_corrupt;      /* so often one byte is another one */
    size_t lie_size;    /* size in the listing; 0: the real one */
    bool unlisted;      /* neither size nor digest are in the listing */
    bool no_ranges;     /* Range is not understood */
    int changing;       /* so often the entity tag is a new one each time */
    int drip_ms;        /* between pieces of 1 KiB */
    bool nowhere;       /* a redirect that does not say where to */
    int n_stalls;       /* so often nothing follows break_after, the connection staying open */
};

struct test_hub *test_hub_new(void);
void test_hub_free(struct test_hub *hub);
const char *test_hub_endpoint(const struct test_hub *hub); /* "http://127.0.0.1:PORT" */

/* A file of a commit; the bytes are copied. `large`: by way of the other host. */
void test_hub_add(struct test_hub *hub, const char *commit, const char *name, const void *data,
                  size_t size, bool large);
/* The bundled base as a model of this commit: three small files and the weights. */
void test_hub_add_mini(struct test_hub *hub, const char *commit);
void test_hub_trouble(struct test_hub *hub, const char *name, struct test_hub_trouble trouble);

void test_hub_need_token(struct test_hub *hub, const char *token);
/* The branch "main" moves to that commit after `n` more listings. */
void test_hub_move(struct test_hub *hub, const char *commit, int n);
/* The first `n` listings are answered with this status. */
void test_hub_refuse_listings(struct test_hub *hub, int status, int n);

/* What was seen. */
int test_hub_n_listings(struct test_hub *hub);
int test_hub_n_transfers(struct test_hub *hub, const char *name); /* answers with bytes of it */
int test_hub_n_ranges(struct test_hub *hub, const char *name);    /* of these, of a part */
size_t test_hub_n_bytes(struct test_hub *hub, const char *name);  /* sent, over all transfers */
bool test_hub_token_leaked(struct test_hub *hub); /* the other host has seen an Authorization */

#endif
