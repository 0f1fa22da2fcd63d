/*
 * test_hostile.c - every route of routes.c, asked in every wrong way: ids of other objects, odd
 * numbers, unknown parameters and members, bodies that are no bodies, methods that it lacks.
 *
 * The table is the server's own, so that a route which is added is tried like the others; one that
 * takes a body must be described here. Every refusal must be a 4xx that says what and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/routes.h"
#include "support/scratch.h"
#include "support/server.h"

#define JOBS      "/v1/fine_tuning/jobs"
#define TARGET    6000 /* bytes of a path that is asked for */
#define MAX_TEXT  5000 /* bytes of an id that is too long */
#define SECRET    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define DEPTH     1000000
#define FORM_TYPE "multipart/form-data; boundary=cut"
/* one cell, of a file's id; its job need not end */
#define EXPERIMENT                                                                                 \
    "{\"model\":\"prilora-mini-en\",\"methods\":[{\"name\":\"a\",\"method\":{\"type\":\"lora\"}}]" \
    ","                                                                                            \
    "\"tasks\":[{\"name\":\"b\",\"training_file\":\"%s\"}],\"seeds\":[1]}"
#define N(table) (sizeof(table) / sizeof *(table))

/* ---- one object of each kind ---- */

static struct object {
    const char *kind, *prefix; /* of the routes that take its id */
    char id[128];
} objects[] = {
    {.kind = "file", .prefix = "/v1/files/"},
    {.kind = "upload", .prefix = "/v1/uploads/"},
    {.kind = "job", .prefix = JOBS "/"},
    {.kind = "adapter", .prefix = "/v1/models/"},
    {.kind = "key", .prefix = "/v1/keys/"},
    {.kind = "pull", .prefix = "/v1/pulls/"},
    {.kind = "experiment", .prefix = "/v1/experiments/"},
    {.kind = "delivery", .prefix = "/v1/webhooks/deliveries/"},
    {.kind = "event", .prefix = NULL},
    {.kind = "checkpoint", .prefix = NULL},
    {.kind = "part", .prefix = NULL},
};

static const char *id_of(const char *kind)
{
    for (size_t i = 0; i < N(objects); i++)
        if (strcmp(objects[i].kind, kind) == 0)
            return objects[i].id;
    fail_msg("no object is a %s", kind);
    return NULL;
}

static void keep(const char *kind, const char *id)
{
    if (!*id)
        fail_msg("there is no %s", kind);
    snprintf((char *)id_of(kind), sizeof objects[0].id, "%s", id);
}

static const struct object *object_of(const char *pattern)
{
    for (size_t i = 0; i < N(objects); i++)
        if (objects[i].prefix &&
            strncmp(pattern, objects[i].prefix, strlen(objects[i].prefix)) == 0)
            return &objects[i];
    return NULL;
}

#define PART(name, more, text)                                                                     \
    "--cut\r\nContent-Disposition: form-data; name=\"" name "\"" more "\r\n\r\n" text "\r\n"

static const char part_form[] = PART("data", "; filename=\"p\"", "ab") "--cut--\r\n",
                  file_form[] = PART("purpose", "", "fine-tune")
                      PART("file", "; filename=\"a.csv\"", "text,label") "--cut--\r\n";

static struct test_reply *post_form(const struct test_server *server, const char *path)
{
    bool is_file = strncmp(path, "/v1/files", 9) == 0;

    return test_send(server, &(struct test_request){.method = "POST",
                                                    .path = path,
                                                    .body = is_file ? file_form : part_form,
                                                    .type = FORM_TYPE});
}

static void make_job(struct test_server *server)
{
    char *text = test_sentences(24, 1), body[400], path[200];
    const json_t *job;

    keep("file", test_upload(server, "a.jsonl", text));
    free(text);
    snprintf(body, sizeof body,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1}}}}",
             id_of("file"), id_of("file"));
    keep("job", test_create_job(server, body));
    job = test_wait_job(server, id_of("job"), "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    keep("adapter", test_text(job, "fine_tuned_model"));
    snprintf(path, sizeof path, JOBS "/%s/events", id_of("job"));
    keep("event", test_text(test_get(server, "%s", path)->json, "data.0.id"));
    snprintf(path, sizeof path, JOBS "/%s/checkpoints", id_of("job"));
    keep("checkpoint", test_text(test_get(server, "%s", path)->json, "data.0.id"));
}

/* Nothing listens where the webhooks go and the models come from. */
static struct test_server *start(void)
{
    static char secret_file[300];
    static const char *const settings[] = {"--webhooks.url=http://127.0.0.1:1/", secret_file,
                                           "--hub.endpoint=http://127.0.0.1:1", NULL};

    snprintf(secret_file, sizeof secret_file, "--webhooks.secret_file=%s",
             test_scratch_write("secret", SECRET "\n", sizeof SECRET));
    return test_server_new(settings);
}

static int open_group(void **state)
{
    struct test_server *server;
    char path[200], body[400];

    assert_int_equal(test_scratch_open(state), 0);
    server = start();

    *state = server;
    make_job(server);
    keep("upload", test_text(test_post(server, "/v1/uploads",
                                       "{\"bytes\": 4, \"filename\": \"b.jsonl\", \"mime_type\": "
                                       "\"text/jsonl\", \"purpose\": \"fine-tune\"}")
                                 ->json,
                             "id"));
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", id_of("upload"));
    keep("part", test_text(post_form(server, path)->json, "id"));
    keep("key", test_text(test_post(server, "/v1/keys", "{\"name\": \"a\"}")->json, "id"));
    keep("pull",
         test_text(test_post(server, "/v1/models", "{\"model\": \"no/such\"}")->json, "id"));
    snprintf(body, sizeof body, EXPERIMENT, id_of("file"));
    keep("experiment", test_text(test_post(server, "/v1/experiments", body)->json, "id"));
    keep("delivery", test_text(test_get(server, "/v1/webhooks/deliveries")->json, "data.0.id"));
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return test_scratch_close(state);
}

/* ---- what the routes take ---- */

enum kind { TEXT = 1, INTEGER = 2, OBJECT = 4, LIST = 8, LOGICAL = 16, NOTHING = 32 };

#define MAX_MEMBERS 12

static const struct body {
    const char *method, *pattern, *right; /* a body that is taken; %FILE, %MODEL: ids */
    struct {
        const char *name;
        unsigned kinds;
    } members[MAX_MEMBERS];
} bodies[] = {
    {"POST",
     JOBS,
     "{\"model\":\"prilora-mini-en\",\"training_file\":\"%FILE\"}",
     {{"model", TEXT},
      {"training_file", TEXT},
      {"validation_file", TEXT | NOTHING},
      {"suffix", TEXT | NOTHING},
      {"seed", INTEGER | NOTHING},
      {"priority", INTEGER | NOTHING},
      {"metadata", OBJECT | NOTHING},
      {"integrations", LIST | NOTHING},
      {"method", OBJECT | NOTHING},
      {"hyperparameters", OBJECT | NOTHING},
      {"task", OBJECT | NOTHING}}},
    {"POST",
     "/v1/experiments",
     "{\"model\":\"prilora-mini-en\",\"methods\":[{\"name\":\"a\",\"method\":{\"type\":\"lora\"}}],"
     "\"tasks\":[{\"name\":\"b\",\"training_file\":\"%FILE\"}],\"seeds\":[1]}",
     {{"model", TEXT},
      {"methods", LIST},
      {"tasks", LIST},
      {"seeds", LIST | INTEGER | NOTHING},
      {"name", TEXT | NOTHING},
      {"priority", INTEGER | NOTHING},
      {"metadata", OBJECT | NOTHING}}},
    {"POST",
     "/v1/fine_tuning/forecasts",
     "{\"model\":\"prilora-mini-en\",\"training_file\":\"%FILE\"}",
     {{"model", TEXT},
      {"training_file", TEXT},
      {"validation_file", TEXT | NOTHING},
      {"seed", INTEGER | NOTHING},
      {"metadata", OBJECT | NOTHING},
      {"method", OBJECT | NOTHING},
      {"hyperparameters", OBJECT | NOTHING},
      {"task", OBJECT | NOTHING}}},
    {"POST",
     JOBS "/{id}",
     "{\"priority\":1}",
     {{"priority", INTEGER | NOTHING}, {"metadata", OBJECT | NOTHING}}},
    {"POST",
     "/v1/uploads",
     "{\"bytes\":4,\"filename\":\"b.jsonl\",\"mime_type\":\"text/jsonl\",\"purpose\":"
     "\"fine-tune\"}",
     {{"bytes", INTEGER},
      {"filename", TEXT},
      {"mime_type", TEXT},
      {"purpose", TEXT},
      {"expires_after", OBJECT | NOTHING}}},
    {"POST",
     "/v1/uploads/{id}/complete",
     "{\"part_ids\":[\"part_none\"]}",
     {{"part_ids", LIST}, {"md5", TEXT | NOTHING}}},
    {"POST",
     "/v1/models",
     "{\"model\":\"no/such\"}",
     {{"model", TEXT},
      {"revision", TEXT | NOTHING},
      {"token", TEXT | NOTHING},
      {"force", LOGICAL | NOTHING}}},
    {"POST",
     "/v1/keys",
     "{\"name\":\"a\"}",
     {{"name", TEXT},
      {"scope", TEXT | NOTHING},
      {"expires_in", INTEGER | NOTHING},
      {"expires_at", INTEGER | NOTHING},
      {"max_queued_jobs", INTEGER | NOTHING},
      {"max_bytes", INTEGER | NOTHING}}},
    {"POST",
     "/v1/predictions",
     "{\"model\":\"%MODEL\",\"input\":\"good\"}",
     {{"model", TEXT}, {"input", TEXT | LIST | OBJECT}, {"top_k", INTEGER | NOTHING}}},
};

/* Those that need none, whatever comes. */
static const char *const without_body[] = {"/cancel", "/pause", "/resume", "/retry", "/gc"};

static const struct body *body_of(const struct route *route)
{
    for (size_t i = 0; i < N(bodies); i++)
        if (strcmp(bodies[i].method, route->method) == 0 &&
            strcmp(bodies[i].pattern, route->pattern) == 0)
            return &bodies[i];
    return NULL;
}

static bool takes_nothing(const struct route *route)
{
    for (size_t i = 0; i < N(without_body); i++) {
        size_t n = strlen(without_body[i]), length = strlen(route->pattern);

        if (length > n && strcmp(route->pattern + length - n, without_body[i]) == 0)
            return true;
    }
    return strcmp(route->method, "POST") != 0;
}

/* A copy with the ids in it; free it. */
static char *with_ids(const char *text)
{
    static const struct {
        const char *mark, *kind;
    } marks[] = {{"%FILE", "file"}, {"%MODEL", "adapter"}};
    char *out = NULL;
    size_t size;
    FILE *stream = open_memstream(&out, &size);

    assert_non_null(stream);
    while (*text) {
        size_t i = 0;

        while (i < N(marks) && strncmp(text, marks[i].mark, strlen(marks[i].mark)) != 0)
            i++;
        if (i < N(marks)) {
            fputs(id_of(marks[i].kind), stream);
            text += strlen(marks[i].mark);
        } else {
            fputc(*text++, stream);
        }
    }
    fclose(stream);
    return out;
}

/* The pattern with its first {} filled, a second one with a file that is there. */
static void fill(char out[TARGET], const char *pattern, const char *id)
{
    const char *open = strchr(pattern, '{'), *close = open ? strchr(open, '}') : NULL;

    if (!open)
        snprintf(out, TARGET, "%s", pattern);
    else
        snprintf(out, TARGET, "%.*s%s%s", (int)(open - pattern), pattern, id,
                 strcmp(close + 1, "/adapter/{file}") == 0 ? "/adapter/README.md" : close + 1);
}

/* Its own object's, and of a dashboard's file one that is there. */
static void fill_rightly(char out[TARGET], const char *pattern)
{
    const struct object *own = object_of(pattern);

    fill(out, pattern, own ? own->id : "app.js");
}

/* ---- refusals ---- */

static bool has_word(const char *word)
{
    return *word && word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void check_refusal(const struct test_reply *reply, const char *what)
{
    const json_t *param = test_member(reply->json, "error.param");
    const char *message = test_text(reply->json, "error.message");
    const char *type = test_header(reply, "Content-Type"), *id = test_header(reply, "x-request-id");

    if (reply->status < 400 || reply->status > 499 || !type ||
        strcmp(type, "application/problem+json") != 0 || !id || strncmp(id, "req-", 4) != 0 ||
        strlen(message) < 8 || !has_word(test_text(reply->json, "error.code")) ||
        !has_word(test_text(reply->json, "error.type")) ||
        !(json_is_null(param) || json_string_length(param) > 0) ||
        strcmp(test_text(reply->json, "type"), "about:blank") != 0 ||
        !*test_text(reply->json, "title") || !*test_text(reply->json, "instance") ||
        test_integer(reply->json, "status") != reply->status ||
        strcmp(test_text(reply->json, "detail"), message) != 0)
        fail_msg("%s: %ld %s\n%s", what, reply->status, reply->body, reply->headers);
}

static void expect(const struct test_reply *reply, long status, const char *what)
{
    check_refusal(reply, what);
    if (reply->status != status)
        fail_msg("%s: %ld, not %ld: %s", what, reply->status, status, reply->body);
}

/* The fault is at this place, or within it. */
static void expect_param(const struct test_reply *reply, const char *name, const char *what)
{
    const char *param = test_text(reply->json, "error.param");
    size_t n = strlen(name);

    if (strncmp(param, name, n) != 0 || (param[n] != '\0' && param[n] != '.'))
        fail_msg("%s: the fault is not at %s: %s", what, name, reply->body);
}

/* Sends the route's own body, if it has one. */
static struct test_reply *ask(const struct test_server *server, const struct route *route,
                              const char *path)
{
    const struct body *body = body_of(route);
    char *text = body ? with_ids(body->right) : NULL;
    struct test_reply *reply;

    if (route->sink)
        return post_form(server, path);
    reply = test_send(server,
                      &(struct test_request){.method = route->method, .path = path, .body = text});
    free(text);
    return reply;
}

static char what[TARGET + 200];

static const char *name_it(const struct route *route, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *name_it(const struct route *route, const char *format, ...)
{
    int n = snprintf(what, sizeof what, "%s %s, ", route->method, route->pattern);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what + n, sizeof what - (size_t)n, format, arguments);
    va_end(arguments);
    return what;
}

static void every_route_that_takes_a_body_is_described_here(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++)
        if (!routes[i].sink && !body_of(&routes[i]) && !takes_nothing(&routes[i]))
            fail_msg("%s %s", routes[i].method, routes[i].pattern);
}

/* ---- ids ---- */

static void an_id_of_another_kind_is_not_found(void **state)
{
    char path[TARGET];

    for (size_t i = 0; i < n_routes; i++) {
        const struct object *own = object_of(routes[i].pattern);

        for (size_t k = 0; own && strchr(routes[i].pattern, '{') && k < N(objects); k++) {
            struct test_reply *reply;

            if (&objects[k] == own)
                continue;
            fill(path, routes[i].pattern, objects[k].id);
            reply = ask(*state, &routes[i], path);
            expect(reply, 404, name_it(&routes[i], "id of a %s", objects[k].kind));
            if (!*test_text(reply->json, "error.param"))
                fail_msg("%s: the fault is nowhere: %s", what, reply->body);
        }
    }
}

static void an_id_that_none_can_be_is_refused(void **state)
{
    static const char *const ids[] = {
        "..",
        "%2e%2e",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2F",
        "%2Fetc%2Fpasswd",
        "a%00b",
        "%00",
        "%",
        "%zz",
        "%ff%fe",
        "\xff\xfe",
        "%C3%BC",
        "\xc3\xbc",
        "%F0%9F%99%82",
        "%20",
        "0",
        "-1",
        "null",
        "*",
        "';--",
        "%22%3E%3Cscript%3E",
        "ftjob-%25s%25n",
        "%0d%0aX-Header:%201",
        "a\\b",
        "%E2%80%AE",
    };
    static char long_id[MAX_TEXT + 1];
    char path[TARGET];

    memset(long_id, 'a', MAX_TEXT);
    for (size_t i = 0; i < n_routes; i++) {
        if (!strchr(routes[i].pattern, '{'))
            continue;
        for (size_t k = 0; k < N(ids); k++) {
            fill(path, routes[i].pattern, ids[k]);
            expect(ask(*state, &routes[i], path), 404, name_it(&routes[i], "id %s", ids[k]));
            assert_null(test_header(test_get(*state, "%s", path), "X-Header"));
        }
        fill(path, routes[i].pattern, long_id);
        expect(ask(*state, &routes[i], path), 414, name_it(&routes[i], "a long id"));
        long_id[3000] = '\0'; /* a path may be so long */
        fill(path, routes[i].pattern, long_id);
        expect(ask(*state, &routes[i], path), 404, name_it(&routes[i], "a long id"));
        long_id[3000] = 'a';
    }
}

/* ---- parameters ---- */

/* The dashboard's files take whatever stands behind a '?'. */
static bool is_page(const struct route *route)
{
    return strcmp(route->pattern, "/") == 0 || strncmp(route->pattern, "/dashboard/", 11) == 0;
}

/* That some route knows, each with what it never means. A route that does not know it says so, and
 * names it as well. */
static const struct {
    const char *name, *values[9];
} parameters[] = {
    {"limit",
     {"-1", "0x10", "1e3", "NaN", "99999999999999999999", "9223372036854775808", "1.0", ""}},
    {"after", {"%F0%9F%99%82", "no-such-id", "-1", "1e400", "99999999999999999999999", ""}},
    {"order", {"ASC", "1", "asc%20", ""}},
    {"status", {"RUNNING", "queued,", ",", "queued,,running", "%F0%9F%99%82", ""}},
    {"stream", {"yes", "TRUE", "1", ""}},
    {"wait", {"-1", "61", "NaN", "1e1", "9223372036854775808", ""}},
    {"history", {"2", "-1", "true", ""}},
    {"task", {"none", "Auto", ""}},
    {"merged", {"yes", "2", "-1"}},
    {"rank", {"most", "-1", "8"}},
    {"last_event_id", {"1-2-3-0-00000000", "x", "-1", "%F0%9F%99%82"}},
    {"metadata%5B", {"v", ""}},
    {"metadata%5Bk", {"v", ""}},
    {"metadata", {"v", ""}},
    {"no_such_parameter", {"1", ""}},
    {"%C3%BC", {"1"}},
};

static void a_parameter_that_is_wrong_is_named(void **state)
{
    char path[TARGET], name[100];

    for (size_t i = 0; i < n_routes; i++) {
        for (size_t k = 0; !is_page(&routes[i]) && k < N(parameters); k++) {
            for (size_t v = 0; v < N(parameters[k].values) && parameters[k].values[v]; v++) {
                const struct test_reply *reply;
                size_t n;

                fill_rightly(path, routes[i].pattern);
                n = strlen(path);
                snprintf(path + n, sizeof path - n, "?%s=%s", parameters[k].name,
                         parameters[k].values[v]);
                reply = ask(*state, &routes[i], path);
                expect(reply, 400, name_it(&routes[i], "%s", path));
                snprintf(name, sizeof name, "%.*s", (int)strcspn(parameters[k].name, "%"),
                         parameters[k].name);
                if (strncmp(test_text(reply->json, "error.param"), name, strlen(name)) != 0)
                    fail_msg("%s: %s", what, reply->body);
            }
        }
    }
}

static void a_query_that_is_none_is_refused(void **state)
{
    static const char *const queries[] = {
        "limit=1&limit=2", "a=%00", "a=%ff", "%zz=1", "=", "=1", "&&=&"};
    static char many[TARGET];
    char path[TARGET];

    for (size_t i = 0; i < 100; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "p%zu=1&", i);
    for (size_t i = 0; i < n_routes; i++) {
        for (size_t k = 0; !is_page(&routes[i]) && k <= N(queries); k++) {
            size_t n;

            fill_rightly(path, routes[i].pattern);
            n = strlen(path);
            snprintf(path + n, sizeof path - n, "?%s", k < N(queries) ? queries[k] : many);
            expect(ask(*state, &routes[i], path), 400, name_it(&routes[i], "%s", path));
        }
    }
}

/* ---- methods ---- */

/* As routes.c has them, found without its help. */
static void methods_of(const char *pattern, char out[100])
{
    *out = '\0';
    for (size_t i = 0; i < n_routes; i++) {
        size_t n = strlen(out);

        if (strcmp(routes[i].pattern, pattern) == 0)
            snprintf(out + n, 100 - n, "%s%s%s", n ? ", " : "", routes[i].method,
                     strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
    }
}

static void a_method_that_a_path_lacks_is_refused_with_those_it_has(void **state)
{
    static const char *const methods[] = {"GET",     "HEAD",  "POST",     "PUT", "DELETE", "PATCH",
                                          "OPTIONS", "TRACE", "PROPFIND", "get", "A"};
    char path[TARGET], allowed[100];

    for (size_t i = 0; i < n_routes; i++) {
        methods_of(routes[i].pattern, allowed);
        fill_rightly(path, routes[i].pattern);
        for (size_t k = 0; k < N(methods); k++) {
            const struct test_reply *reply;

            if (strstr(allowed, methods[k]) != NULL)
                continue;
            reply = test_send(*state, &(struct test_request){.method = methods[k], .path = path});
            name_it(&routes[i], "by %s", methods[k]);
            if (strcmp(methods[k], "HEAD") == 0)
                assert_int_equal(reply->status, 405);
            else
                expect(reply, 405, what);
            assert_string_equal(test_header(reply, "Allow"), allowed);
        }
    }
}

static void head_is_get_without_the_body(void **state)
{
    char path[TARGET];

    for (size_t i = 0; i < n_routes; i++) {
        const struct test_reply *reply;
        long status;
        char type[100];

        if (strcmp(routes[i].method, "GET") != 0)
            continue;
        fill_rightly(path, routes[i].pattern);
        reply = test_get(*state, "%s", path);
        status = reply->status;
        snprintf(type, sizeof type, "%s", test_header(reply, "Content-Type"));
        reply = test_send(*state, &(struct test_request){.method = "HEAD", .path = path});
        if (status != 200 || reply->status != status || reply->size != 0 ||
            strcmp(test_header(reply, "Content-Type"), type) != 0)
            fail_msg("%s: GET %ld, HEAD %ld with %zu bytes\n%s", path, status, reply->status,
                     reply->size, reply->headers);
        assert_non_null(test_header(reply, "x-request-id"));
    }
}

/* ---- bodies ---- */

static char *nested(const char *open, const char *middle, const char *close)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < DEPTH; i++)
        fputs(open, out);
    fputs(middle, out);
    for (size_t i = 0; i < DEPTH; i++)
        fputs(close, out);
    fclose(out);
    return text;
}

static void try_body(const struct test_server *server, const struct route *route, const char *path,
                     const char *text, size_t size)
{
    expect(test_send(server,
                     &(struct test_request){
                         .method = route->method, .path = path, .body = text, .size = size}),
           400, name_it(route, "%.100s", text));
}

static void a_body_that_is_no_object_is_refused(void **state)
{
    static const char *const texts[] = {
        "null",
        "[]",
        "\"text\"",
        "1",
        "true",
        " ",
        "{",
        "{}}",
        "{\"a\":1,}",
        "{'a':1}",
        "nan",
        "{\"model\":1e400}",
        "{\"model\":9223372036854775808}",
        "{\"model\":-9223372036854775809}",
        "{\"model\":NaN}",
        "{\"model\":\"a\\u0000b\"}",
        "{\"\\u0000\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"model\":\"a\",\"model\":\"a\"}",
        "{\"model\":\"\xff\"}",
        "{\"model\":\"\xed\xa0\x80\"}",
        "{\"model\":\"\\ud800\"}",
        "{\"model\":01}",
        "{\"model\":\"a\nb\"}",
        "\xef\xbb\xbf{}",
    };
    char path[TARGET],
        *deep[] = {nested("[", "", "]"), nested("{\"a\":", "1", "}"), nested("[", "", "")};

    for (size_t i = 0; i < n_routes; i++) {
        if (!body_of(&routes[i]))
            continue;
        fill_rightly(path, routes[i].pattern);
        for (size_t k = 0; k < N(texts); k++)
            try_body(*state, &routes[i], path, texts[k], 0);
        for (size_t k = 0; k < N(deep); k++)
            try_body(*state, &routes[i], path, deep[k], 0);
        try_body(*state, &routes[i], path, "{\"a\":\0}", 7);
        expect(test_send(*state, &(struct test_request){.method = "POST",
                                                        .path = path,
                                                        .headers = {"Content-Type: "
                                                                    "application/json"}}),
               400, name_it(&routes[i], "no body"));
        expect(test_send(*state,
                         &(struct test_request){
                             .method = "POST", .path = path, .body = "{}", .type = "text/plain"}),
               415, name_it(&routes[i], "text/plain"));
        expect(test_send(*state, &(struct test_request){.method = "POST", .path = path}), 415,
               name_it(&routes[i], "no type"));
    }
    for (size_t k = 0; k < N(deep); k++)
        free(deep[k]);
}

static void a_form_that_is_none_is_refused(void **state)
{
    static const struct {
        const char *type, *text;
        long status;
    } forms[] = {
        {"application/json", "{}", 415},
        {"multipart/form-data", "{}", 400},
        {"multipart/form-data; boundary=", "--\r\n", 400},
        {FORM_TYPE, "", 400},
        {FORM_TYPE, "null", 400},
        {FORM_TYPE, "--cut--\r\n", 400},
        {FORM_TYPE, "--cut\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhalf", 400},
        {FORM_TYPE,
         "--cut\r\nContent-Disposition: form-data; name=\"nothing\"\r\n\r\n1\r\n--cut--\r\n", 400},
        {FORM_TYPE, "--cut\r\nContent-Disposition: form-data\r\n\r\n1\r\n--cut--\r\n", 400},
        {FORM_TYPE, "--cut\r\n\r\n1\r\n--cut--\r\n", 400},
    };
    char path[TARGET];

    for (size_t i = 0; i < n_routes; i++) {
        if (!routes[i].sink)
            continue;
        fill_rightly(path, routes[i].pattern);
        for (size_t k = 0; k < N(forms); k++)
            expect(test_send(*state, &(struct test_request){.method = "POST",
                                                            .path = path,
                                                            .body = forms[k].text,
                                                            .type = forms[k].type}),
                   forms[k].status, name_it(&routes[i], "%s: %s", forms[k].type, forms[k].text));
    }
}

/* ---- members ---- */

static const struct {
    unsigned kind;
    const char *text;
} values[] = {
    {NOTHING, "null"},
    {LOGICAL, "true"},
    {LOGICAL, "false"},
    {INTEGER, "-1"},
    {INTEGER, "-0"},
    {INTEGER, "9223372036854775807"},
    {INTEGER, "-9223372036854775808"},
    {0, "1.5"}, /* nothing here is any number */
    {0, "1e300"},
    {0, "-0.0"},
    {TEXT, "\"\""},
    {TEXT, "\"\\u0001\""},
    {TEXT, "\"\\ud83d\\ude42\""},
    {TEXT, "\"../../etc/passwd\""},
    {TEXT, "\"%s%n\""},
    {TEXT, NULL}, /* long */
    {LIST, "[]"},
    {LIST, "[[]]"},
    {LIST, "[null,1,{}]"},
    {OBJECT, "{}"},
    {OBJECT, "{\"\":null}"},
    {OBJECT, "{\"a\":{\"b\":[1e300]}}"},
};

/* The route's body with one member as given; free it. */
static char *with_member(const struct body *body, const char *name, const char *value)
{
    char *right = with_ids(body->right), *out = NULL;
    json_t *object = json_loads(right, 0, NULL), *member = json_loads(value, JSON_DECODE_ANY, NULL);

    assert_true(object && member && json_object_set_new(object, name, member) == 0);
    out = json_dumps(object, 0);
    json_decref(object);
    free(right);
    return out;
}

static void try_member(const struct test_server *server, const struct route *route,
                       const struct body *body, size_t m, size_t v)
{
    static char text[MAX_TEXT + 3], path[TARGET];
    const char *name = body->members[m].name, *value = values[v].text;
    const struct test_reply *reply;
    char *whole;

    if (!value) {
        memset(text, 'a', sizeof text - 1);
        text[0] = text[sizeof text - 2] = '"';
        value = text;
    }
    fill_rightly(path, route->pattern);
    whole = with_member(body, name, value);
    reply =
        test_send(server, &(struct test_request){.method = "POST", .path = path, .body = whole});
    free(whole);
    name_it(route, "%s: %.60s", name, value);
    if (!(body->members[m].kinds & values[v].kind)) {
        expect(reply, 400, what);
        expect_param(reply, name, what);
    } else if (reply->status != 200) {
        check_refusal(reply, what);
    }
}

static void a_member_of_the_wrong_type_is_named(void **state)
{
    for (size_t i = 0; i < n_routes; i++) {
        const struct body *body = body_of(&routes[i]);

        for (size_t m = 0; body && m < MAX_MEMBERS && body->members[m].name; m++)
            for (size_t v = 0; v < N(values); v++)
                try_member(*state, &routes[i], body, m, v);
    }
}

static void a_member_that_nobody_knows_is_named(void **state)
{
    static const char *const names[] = {"nothing",  "Model",  "modell",
                                        "n_epochs", "model ", "\xc3\xbc"};
    char path[TARGET];

    for (size_t i = 0; i < n_routes; i++) {
        const struct body *body = body_of(&routes[i]);

        for (size_t k = 0; body && k < N(names); k++) {
            char *whole = with_member(body, names[k], "1");
            const struct test_reply *reply;

            fill_rightly(path, routes[i].pattern);
            reply =
                test_send(*state,
                          &(struct test_request){.method = "POST", .path = path, .body = whole});
            free(whole);
            expect(reply, 400, name_it(&routes[i], "unknown member %s", names[k]));
            expect_param(reply, names[k], what);
            if (!strchr(test_text(reply->json, "errors.0.pointer"), '/'))
                fail_msg("%s: no pointer: %s", what, reply->body);
        }
    }
}

static void a_member_that_is_needed_and_missing_is_named(void **state)
{
    char path[TARGET];

    for (size_t i = 0; i < n_routes; i++) {
        const struct body *body = body_of(&routes[i]);

        for (size_t m = 0; body && m < MAX_MEMBERS && body->members[m].name; m++) {
            char *right = with_ids(body->right), *whole;
            json_t *object = json_loads(right, 0, NULL);
            const struct test_reply *reply;

            free(right);
            json_object_del(object, body->members[m].name);
            whole = json_dumps(object, 0);
            json_decref(object);
            if (!(body->members[m].kinds & NOTHING)) {
                fill_rightly(path, routes[i].pattern);
                reply = test_send(
                    *state, &(struct test_request){.method = "POST", .path = path, .body = whole});
                expect(reply, 400, name_it(&routes[i], "without %s", body->members[m].name));
                expect_param(reply, body->members[m].name, what);
            }
            free(whole);
        }
    }
}

/* ---- other ways to ask ---- */

static void every_get_works_by_http_1_0_and_by_absolute_targets(void **state)
{
    const struct test_server *server = *state;
    static const struct {
        const char *before, *after;
    } ways[] = {
        {"", " HTTP/1.0\r\n\r\n"},
        {"http://localhost", " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"},
        {"HTTP://127.0.0.1:80", " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"},
    };
    static char path[TARGET], request[TARGET + 200];

    for (size_t i = 0; i < n_routes; i++) {
        for (size_t k = 0; k < N(ways) && strcmp(routes[i].method, "GET") == 0; k++) {
            char *answer;
            int n;

            fill_rightly(path, routes[i].pattern);
            n = snprintf(request, sizeof request, "GET %s%s%s", ways[k].before, path,
                         ways[k].after);
            answer = test_send_raw(server, request, (size_t)n);
            if (strncmp(answer, "HTTP/1.", 7) != 0 || strncmp(answer + 8, " 200 ", 5) != 0)
                fail_msg("%s: %s", request, answer);
            free(answer);
        }
    }
}

static void an_absolute_target_must_name_this_server(void **state)
{
    static const struct {
        const char *target;
        const char *status;
    } targets[] = {
        {"http://evil.example/v1/files", "421"},
        {"http://", "400"},
        {"http:///v1/files", "400"},
        {"http://localhost", "200"},
        {"http://localhost?a=1", "200"},
        {"ftp://localhost/v1/files", "404"},
        {"localhost:80", "404"},
        {"*", "404"},
        {"v1/files", "404"},
        {"http://user@localhost/v1/files", "421"},
    };
    char request[300];

    for (size_t i = 0; i < N(targets); i++) {
        int n = snprintf(request, sizeof request,
                         "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                         targets[i].target);
        char *answer = test_send_raw(*state, request, (size_t)n);

        if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, targets[i].status, 3) != 0)
            fail_msg("%s: %.300s", targets[i].target, answer);
        free(answer);
    }
}

static void all_is_as_it_was_afterwards(void **state)
{
    struct test_server *server = *state;
    static const char *const kinds[] = {"file", "upload", "job", "adapter", "key", "pull"};
    char path[TARGET], *log;

    for (size_t i = 0; i < N(kinds); i++) {
        for (size_t k = 0; k < N(objects); k++)
            if (strcmp(objects[k].kind, kinds[i]) == 0)
                snprintf(path, sizeof path, "%s%s", objects[k].prefix, objects[k].id);
        if (test_get(server, "%s", path)->status != 200)
            fail_msg("%s is lost", path);
    }
    log = test_server_log(server);
    assert_null(strstr(log, " 500 "));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_that_takes_a_body_is_described_here),
        cmocka_unit_test(head_is_get_without_the_body),
        cmocka_unit_test(an_id_of_another_kind_is_not_found),
        cmocka_unit_test(an_id_that_none_can_be_is_refused),
        cmocka_unit_test(a_parameter_that_is_wrong_is_named),
        cmocka_unit_test(a_query_that_is_none_is_refused),
        cmocka_unit_test(a_method_that_a_path_lacks_is_refused_with_those_it_has),
        cmocka_unit_test(a_body_that_is_no_object_is_refused),
        cmocka_unit_test(a_form_that_is_none_is_refused),
        cmocka_unit_test(a_member_of_the_wrong_type_is_named),
        cmocka_unit_test(a_member_that_nobody_knows_is_named),
        cmocka_unit_test(a_member_that_is_needed_and_missing_is_named),
        cmocka_unit_test(every_get_works_by_http_1_0_and_by_absolute_targets),
        cmocka_unit_test(an_absolute_target_must_name_this_server),
        cmocka_unit_test(all_is_as_it_was_afterwards),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
