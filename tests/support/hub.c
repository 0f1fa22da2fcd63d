/* hub.c - see hub.h. A thread for each connection: one that drips or stalls holds up no other. */
#include "support/hub.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/scratch.h"

#define MAX_FILES 32
#define PIECE     1024

struct file {
    char commit[41], name[80];
    char *data;
    size_t size;
    bool large;
    char sha256[65], blob[41];
    struct test_hub_trouble trouble;
    int n_transfers, n_ranges;
    atomic_size_t n_bytes; /* counted while libmicrohttpd holds locks of its own */
};

struct test_hub {
    struct MHD_Daemon *front, *store; /* the hub itself; the other host */
    char endpoint[64], other[64];
    pthread_mutex_t lock; /* guards the rest */
    struct file files[MAX_FILES];
    size_t n_files;
    char head[41], next_head[41], token[80];
    int move_after, refuse_status, n_refusals, n_listings;
    bool leaked;
    atomic_bool stopping;
};

/* ---- digests ---- */

static void to_hex(char *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void digest(struct file *file)
{
    struct sha256_ctx sha256;
    struct sha1_ctx sha1;
    uint8_t bytes[32];
    char head[40];
    int n = snprintf(head, sizeof head, "blob %zu", file->size) + 1;

    sha256_init(&sha256);
    sha256_update(&sha256, file->size, (const uint8_t *)file->data);
    sha256_digest(&sha256, sizeof bytes, bytes);
    to_hex(file->sha256, bytes, 32);
    sha1_init(&sha1);
    sha1_update(&sha1, (size_t)n, (const uint8_t *)head);
    sha1_update(&sha1, file->size, (const uint8_t *)file->data);
    sha1_digest(&sha1, 20, bytes);
    to_hex(file->blob, bytes, 20);
}

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text,
                              const char *const *headers)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    for (; headers && headers[0]; headers += 2)
        if (headers[1][0])
            MHD_add_response_header(response, headers[0], headers[1]);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_error(struct MHD_Connection *connection, unsigned status, int retry_s)
{
    char retry[16] = "", text[] = "{\"error\":\"as the test wants it\"}";
    const char *headers[] = {"Retry-After", retry, "X-Error-Message", "as the test wants it", NULL};

    if (retry_s)
        snprintf(retry, sizeof retry, "%d", retry_s);
    return answer(connection, status, text, headers);
}

static enum MHD_Result answer_listing(struct test_hub *hub, struct MHD_Connection *connection,
                                      const char *commit)
{
    json_t *siblings = json_array(), *root;
    enum MHD_Result result;
    char *text;

    json_array_append_new(siblings, json_pack("{s:s, s:i, s:s}", "rfilename", ".gitattributes",
                                              "size", 10, "blobId", "00"));
    for (size_t i = 0; i < hub->n_files; i++) {
        struct file *f = &hub->files[i];
        json_int_t size = (json_int_t)(f->trouble.lie_size ? f->trouble.lie_size : f->size);
        json_t *one;

        if (strcmp(f->commit, commit) != 0)
            continue;
        one = json_pack("{s:s}", "rfilename", f->name);
        if (!f->trouble.unlisted) {
            json_object_set_new(one, "size", json_integer(size));
            json_object_set_new(one, "blobId", json_string(f->blob));
            if (f->large)
                json_object_set_new(one, "lfs",
                                    json_pack("{s:s, s:I, s:i}", "sha256", f->sha256, "size", size,
                                              "pointerSize", 134));
        }
        json_array_append_new(siblings, one);
    }
    root = json_pack("{s:s, s:s, s:o}", "id", TEST_HUB_MODEL, "sha", commit, "siblings", siblings);
    text = json_dumps(root, 0);
    result = answer(connection, 200, text, NULL);
    free(text);
    json_decref(root);
    return result;
}

/* ---- bytes ---- */

struct sending {
    struct test_hub *hub;
    struct file *file;
    size_t from, stop; /* stop: break or stall there; SIZE_MAX: never */
    int drip_ms;
    bool stalls, corrupt;
};

static void nap_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

static ssize_t send_piece(void *context, uint64_t position, char *out, size_t room)
{
    struct sending *s = context;
    size_t at = s->from + (size_t)position, n = s->file->size - at;

    if (at >= s->stop && s->stalls)
        while (!atomic_load(&s->hub->stopping))
            nap_ms(20);
    if (at >= s->stop || atomic_load(&s->hub->stopping))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = n < room ? n : room;
    n = n < s->stop - at ? n : s->stop - at;
    if (s->drip_ms) {
        nap_ms(s->drip_ms);
        n = n < PIECE ? n : PIECE;
    }
    memcpy(out, s->file->data + at, n);
    if (s->corrupt && at == 0)
        out[0] ^= 1;
    atomic_fetch_add(&s->file->n_bytes, n);
    return (ssize_t)n;
}

/* A Range is taken only if If-Range, where given, names the entity tag of now. */
static size_t read_range(struct MHD_Connection *connection, const struct file *file,
                         const char *etag)
{
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    const char *if_range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-Range");
    size_t from = 0;

    if (file->trouble.no_ranges || !range || sscanf(range, "bytes=%zu-", &from) != 1)
        return 0;
    return if_range && strcmp(if_range, etag) != 0 ? 0 : from;
}

static enum MHD_Result send_bytes(struct test_hub *hub, struct MHD_Connection *connection,
                                  struct file *file, const char *commit)
{
    struct test_hub_trouble *t = &file->trouble;
    struct sending *s = calloc(1, sizeof *s);
    struct MHD_Response *response;
    enum MHD_Result result;
    char etag[100], range[100];
    size_t from;

    snprintf(etag, sizeof etag, "\"%s%.0d\"", file->large ? file->sha256 + 32 : file->blob,
             t->changing > 0 ? t->changing-- : 0);
    from = read_range(connection, file, etag);
    if (from >= file->size && from) {
        free(s);
        return answer_error(connection, 416, 0);
    }
    *s = (struct sending){
        hub, file, from, SIZE_MAX, t->drip_ms, false, t->n_corrupt > 0 && t->n_corrupt--};
    if (t->n_breaks > 0 || t->n_stalls > 0) {
        s->stop = t->break_after > from ? t->break_after : from + t->break_after;
        s->stalls = t->n_breaks <= 0;
        if (s->stalls)
            t->n_stalls--;
        else
            t->n_breaks--;
    }
    file->n_transfers++;
    file->n_ranges += from > 0;
    response =
        MHD_create_response_from_callback(file->size - from, 16 * PIECE, send_piece, s, free);
    MHD_add_response_header(response, "ETag", etag);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
    if (commit)
        MHD_add_response_header(response, "X-Repo-Commit", commit);
    snprintf(range, sizeof range, "bytes %zu-%zu/%zu", from, file->size - 1, file->size);
    if (from)
        MHD_add_response_header(response, "Content-Range", range);
    result = MHD_queue_response(connection, from ? 206 : 200, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the two hosts; called with the lock held ---- */

static struct file *find(struct test_hub *hub, const char *commit, const char *name)
{
    for (size_t i = 0; i < hub->n_files; i++)
        if (strcmp(hub->files[i].name, name) == 0 &&
            (!commit || strcmp(hub->files[i].commit, commit) == 0))
            return &hub->files[i];
    return NULL;
}

static bool is_allowed(struct test_hub *hub, struct MHD_Connection *connection)
{
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");

    return !hub->token[0] ||
           (given && strncmp(given, "Bearer ", 7) == 0 && strcmp(given + 7, hub->token) == 0);
}

static enum MHD_Result serve_listing(struct test_hub *hub, struct MHD_Connection *connection,
                                     const char *revision)
{
    char head[41];

    if (strcmp(revision, "main") != 0 && strcmp(revision, hub->head) != 0)
        return answer_error(connection, 404, 0);
    memcpy(head, hub->head, sizeof head);
    if (hub->move_after > 0 && --hub->move_after == 0)
        memcpy(hub->head, hub->next_head, sizeof hub->head);
    return answer_listing(hub, connection, head);
}

static enum MHD_Result serve_file(struct test_hub *hub, struct MHD_Connection *connection,
                                  const char *commit, const char *name)
{
    struct file *file = find(hub, strcmp(commit, "main") == 0 ? hub->head : commit, name);
    char url[200], size[32], etag[80], nothing[] = "";
    const char *headers[] = {
        "Location", url, "X-Linked-Etag", etag, "X-Linked-Size", size, "X-Repo-Commit",
        commit,     NULL};

    if (!file)
        return answer_error(connection, 404, 0);
    if (file->trouble.n_statuses > 0) {
        file->trouble.n_statuses--;
        return answer_error(connection, (unsigned)file->trouble.status,
                            file->trouble.retry_after_s);
    }
    if (file->trouble.nowhere)
        return answer(connection, 302, nothing, NULL);
    if (!file->large)
        return send_bytes(hub, connection, file, commit);
    snprintf(url, sizeof url, "%s/%s/%s", hub->other, file->commit, name);
    snprintf(etag, sizeof etag, "\"%s\"", file->sha256);
    snprintf(size, sizeof size, "%zu", file->size);
    return answer(connection, 302, nothing, headers);
}

static enum MHD_Result on_front(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **state)
{
    struct test_hub *hub = context;
    bool is_listing = strncmp(url, "/api/models/", 12) == 0;
    char commit[64], name[80];
    enum MHD_Result result;

    (void)method, (void)version, (void)data, (void)size, (void)state;
    pthread_mutex_lock(&hub->lock);
    hub->n_listings += is_listing;
    if (is_listing && hub->n_refusals > 0 && hub->n_refusals--)
        result = answer_error(connection, (unsigned)hub->refuse_status, 0);
    else if (!is_allowed(hub, connection))
        result = answer_error(connection, 401, 0);
    else if (sscanf(url, "/api/models/" TEST_HUB_MODEL "/revision/%63s", commit) == 1)
        result = serve_listing(hub, connection, commit);
    else if (sscanf(url, "/" TEST_HUB_MODEL "/resolve/%63[^/]/%79s", commit, name) == 2)
        result = serve_file(hub, connection, commit, name);
    else
        result = answer_error(connection, 404, 0);
    pthread_mutex_unlock(&hub->lock);
    return result;
}

static enum MHD_Result on_store(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **state)
{
    struct test_hub *hub = context;
    char commit[64], name[80];
    struct file *file = NULL;
    enum MHD_Result result;

    (void)method, (void)version, (void)data, (void)size, (void)state;
    pthread_mutex_lock(&hub->lock);
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization"))
        hub->leaked = true;
    if (sscanf(url, "/%63[^/]/%79s", commit, name) == 2)
        file = find(hub, commit, name);
    result = file ? send_bytes(hub, connection, file, NULL) : answer_error(connection, 404, 0);
    pthread_mutex_unlock(&hub->lock);
    return result;
}

/* ---- making ---- */

static struct MHD_Daemon *serve(const char *address, MHD_AccessHandlerCallback handle,
                                struct test_hub *hub, char out[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const union MHD_DaemonInfo *info;
    struct MHD_Daemon *daemon;

    inet_pton(AF_INET, address, &at.sin_addr);
    daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0,
                              NULL, NULL, handle, hub, MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
    assert_non_null(daemon);
    info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(out, 64, "http://%s:%d", address, info->port);
    return daemon;
}

struct test_hub *test_hub_new(void)
{
    struct test_hub *hub = calloc(1, sizeof *hub);

    assert_non_null(hub);
    pthread_mutex_init(&hub->lock, NULL);
    memcpy(hub->head, TEST_HUB_COMMIT, sizeof TEST_HUB_COMMIT);
    hub->front = serve("127.0.0.1", on_front, hub, hub->endpoint);
    hub->store = serve("127.0.0.2", on_store, hub, hub->other);
    return hub;
}

void test_hub_free(struct test_hub *hub)
{
    if (!hub)
        return;
    atomic_store(&hub->stopping, true);
    MHD_stop_daemon(hub->front);
    MHD_stop_daemon(hub->store);
    for (size_t i = 0; i < hub->n_files; i++)
        free(hub->files[i].data);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

const char *test_hub_endpoint(const struct test_hub *hub)
{
    return hub->endpoint;
}

void test_hub_add(struct test_hub *hub, const char *commit, const char *name, const void *data,
                  size_t size, bool large)
{
    struct file *file;

    pthread_mutex_lock(&hub->lock);
    assert_true(hub->n_files < MAX_FILES);
    file = find(hub, commit, name);
    if (!file)
        file = &hub->files[hub->n_files++];
    free(file->data);
    *file = (struct file){.size = size, .large = large, .data = malloc(size + 1)};
    assert_non_null(file->data);
    snprintf(file->commit, sizeof file->commit, "%s", commit);
    snprintf(file->name, sizeof file->name, "%s", name);
    memcpy(file->data, data, size);
    digest(file);
    pthread_mutex_unlock(&hub->lock);
}

void test_hub_add_mini(struct test_hub *hub, const char *commit)
{
    static const char *const names[] = {"README.md", "config.json", "spm.model",
                                        "tokenizer_config.json", "model.safetensors"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[120];
        size_t size;
        char *data;

        snprintf(path, sizeof path, "examples/prilora-mini-en/%s", names[i]);
        data = test_file(path, &size);
        assert_non_null(data);
        test_hub_add(hub, commit, names[i], data, size, size > 100000);
        free(data);
    }
}

void test_hub_trouble(struct test_hub *hub, const char *name, struct test_hub_trouble trouble)
{
    pthread_mutex_lock(&hub->lock);
    assert_non_null(find(hub, NULL, name));
    for (size_t i = 0; i < hub->n_files; i++)
        if (strcmp(hub->files[i].name, name) == 0)
            hub->files[i].trouble = trouble;
    pthread_mutex_unlock(&hub->lock);
}

void test_hub_need_token(struct test_hub *hub, const char *token)
{
    pthread_mutex_lock(&hub->lock);
    snprintf(hub->token, sizeof hub->token, "%s", token);
    pthread_mutex_unlock(&hub->lock);
}

void test_hub_move(struct test_hub *hub, const char *commit, int n)
{
    pthread_mutex_lock(&hub->lock);
    snprintf(n ? hub->next_head : hub->head, sizeof hub->head, "%s", commit);
    hub->move_after = n;
    pthread_mutex_unlock(&hub->lock);
}

void test_hub_refuse_listings(struct test_hub *hub, int status, int n)
{
    pthread_mutex_lock(&hub->lock);
    hub->refuse_status = status;
    hub->n_refusals = n;
    pthread_mutex_unlock(&hub->lock);
}

/* ---- what was seen ---- */

int test_hub_n_listings(struct test_hub *hub)
{
    int n;

    pthread_mutex_lock(&hub->lock);
    n = hub->n_listings;
    pthread_mutex_unlock(&hub->lock);
    return n;
}

/* Sums over the commits' files of this name. */
static struct file sum(struct test_hub *hub, const char *name)
{
    struct file total = {0};

    pthread_mutex_lock(&hub->lock);
    for (size_t i = 0; i < hub->n_files; i++) {
        if (strcmp(hub->files[i].name, name) != 0)
            continue;
        total.n_transfers += hub->files[i].n_transfers;
        total.n_ranges += hub->files[i].n_ranges;
        total.n_bytes += hub->files[i].n_bytes;
    }
    pthread_mutex_unlock(&hub->lock);
    return total;
}

int test_hub_n_transfers(struct test_hub *hub, const char *name)
{
    return sum(hub, name).n_transfers;
}

int test_hub_n_ranges(struct test_hub *hub, const char *name)
{
    return sum(hub, name).n_ranges;
}

size_t test_hub_n_bytes(struct test_hub *hub, const char *name)
{
    return sum(hub, name).n_bytes;
}

bool test_hub_token_leaked(struct test_hub *hub)
{
    bool leaked;

    pthread_mutex_lock(&hub->lock);
    leaked = hub->leaked;
    pthread_mutex_unlock(&hub->lock);
    return leaked;
}
