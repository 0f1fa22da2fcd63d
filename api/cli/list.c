/* list.c - see list.h. */
#include "api/cli/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/text.h"

#define MOST_ELEMENTS 1000000

/* ---- pages ---- */

static int fetch_page(const struct call *call, const char *path, size_t limit, const char *after,
                      struct http_reply *out)
{
    char *encoded = http_path("%s", after ? after : "");
    char *number = limit ? format("limit=%zu", limit) : must(strdup(""));
    bool has_query = strchr(path, '?') != NULL;
    char *whole = format("%s%s%s%s%s", path, *number || after ? (has_query ? "&" : "?") : "",
                         number, after ? (*number ? "&after=" : "after=") : "", encoded);
    int rc = request(call, &(struct http_request){.method = "GET", .path = whole}, out);

    free(whole);
    free(number);
    free(encoded);
    return rc;
}

/* What the next page is asked for after: series have steps, everything else ids. */
static char *position(const json_t *data)
{
    const json_t *last = json_array_get(data, json_array_size(data) - 1);
    const char *id = json_text(last, "id");

    if (*id)
        return must(strdup(id));
    return json_at(last, "step") ? format("%lld", (long long)json_whole(last, "step")) : NULL;
}

int list_fetch(const struct call *call, const char *path, size_t limit, size_t per_page,
               json_t **out)
{
    json_t *data = must(json_array());
    char *after = NULL;
    bool more = true;
    int rc = EXIT_DONE;

    *out = NULL;
    if (limit == 0)
        limit = MOST_ELEMENTS;
    while (more && rc == EXIT_DONE && json_array_size(data) < limit) {
        struct http_reply reply = {0};
        size_t left = limit - json_array_size(data);
        json_t *page;

        rc = fetch_page(call, path,
                        per_page && left > per_page ? per_page
                        : per_page                  ? left
                                                    : 0,
                        after, &reply);
        page = json_object_get(reply.json, "data");
        if (rc == EXIT_DONE)
            json_array_extend(data, page);
        more = json_is_true(json_at(reply.json, "has_more")) && json_array_size(page) > 0;
        free(after);
        after = more ? position(page) : NULL;
        http_reply_clear(&reply);
        more = more && after;
    }
    free(after);
    if (rc == EXIT_DONE)
        *out = must(json_pack("{s:s, s:O, s:b}", "object", "list", "data", data, "has_more", more));
    json_decref(data);
    return rc;
}

int list_fetch_asked(const struct call *call, const char *path, size_t standard, size_t per_page,
                     json_t **out)
{
    int64_t limit;
    int rc = call_integer(call, "limit", 1, MOST_ELEMENTS, (int64_t)standard, &limit);

    *out = NULL;
    if (rc != EXIT_DONE)
        return rc;
    return list_fetch(call, path, call_has(call, "all") ? 0 : (size_t)limit, per_page, out);
}

bool list_show_json(const struct call *call, const json_t *list)
{
    char *text;

    if (!call->json)
        return false;
    text = must(json_dumps(list, JSON_COMPACT | JSON_REAL_PRECISION(9)));
    text_put_json(stdout, text);
    putchar('\n');
    free(text);
    return true;
}

/* ---- ids ---- */

#define ID_LETTERS 24

struct kind {
    const char *name, *path, *prefix;
    size_t per_page;   /* 0: the list has no pages */
    bool has_fixed_id; /* the prefix and 24 letters or digits: nothing need be looked up */
};

static const struct kind kinds[] = {
    [THING_JOB] = {"job", "/v1/fine_tuning/jobs", "ftjob-", 100, true},
    [THING_FILE] = {"file", "/v1/files", "file-", 1000, true},
    [THING_MODEL] = {"model", "/v1/models", "ft:", 0, false},
    [THING_KEY] = {"key", "/v1/keys", "key-", 0, false},
    [THING_PULL] = {"pull", "/v1/pulls", "pull-", 0, false},
    [THING_EXPERIMENT] = {"experiment", "/v1/experiments", "exp-", 100, true},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);

    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_meant(const struct kind *kind, const char *id, const char *word)
{
    size_t n = strlen(kind->prefix), n_word = strlen(word);

    return strncmp(id, word, n_word) == 0 || ends_with(id, word) ||
           (strncmp(id, kind->prefix, n) == 0 && strncmp(id + n, word, n_word) == 0);
}

/* An exact one wins over all others. */
static int choose(const struct kind *kind, const json_t *data, const char *word, char **id)
{
    const char *found = NULL, *other = NULL;
    const json_t *element;
    size_t i;

    json_array_foreach ((json_t *)data, i, element) {
        const char *candidate = json_text(element, "id");

        if (strcmp(candidate, word) == 0) {
            *id = must(strdup(candidate));
            return EXIT_DONE;
        }
        if (!is_meant(kind, candidate, word))
            continue;
        if (found)
            other = candidate;
        else
            found = candidate;
    }
    if (!found)
        return fail(EXIT_NOT_FOUND, "no %s has an id that is, begins with or ends with \"%s\"",
                    kind->name, word);
    if (other)
        return fail(EXIT_USAGE, "\"%s\" may be %s or %s; write more of it", word, found, other);
    *id = must(strdup(found));
    return EXIT_DONE;
}

static int newest(const struct call *call, const struct kind *kind, char **id)
{
    json_t *list;
    int rc = list_fetch(call, kind->path, 1, 1, &list);
    const char *found = json_text(json_array_get(json_object_get(list, "data"), 0), "id");

    if (rc == EXIT_DONE && !*found)
        rc = fail(EXIT_NOT_FOUND, "there is no %s yet", kind->name);
    if (rc == EXIT_DONE)
        *id = must(strdup(found));
    json_decref(list);
    return rc;
}

static bool is_whole(const struct kind *kind, const char *word)
{
    size_t n = strlen(kind->prefix);

    return kind->has_fixed_id && strncmp(word, kind->prefix, n) == 0 &&
           strlen(word) == n + ID_LETTERS;
}

int resolve(const struct call *call, enum thing thing, const char *word, char **id)
{
    const struct kind *kind = &kinds[thing];
    json_t *list;
    int rc;

    *id = NULL;
    if (is_whole(kind, word)) {
        *id = must(strdup(word));
        return EXIT_DONE;
    }
    if (!*word)
        return fail(EXIT_USAGE, "the id of a %s must not be empty", kind->name);
    if (strcmp(word, "last") == 0 && (thing == THING_JOB || thing == THING_EXPERIMENT))
        return newest(call, kind, id);
    rc = list_fetch(call, kind->path, 0, kind->per_page, &list);
    if (rc == EXIT_DONE)
        rc = choose(kind, json_object_get(list, "data"), word, id);
    json_decref(list);
    return rc;
}

static int job_of_model(const struct call *call, const char *model, char **job_id)
{
    struct http_reply reply = {0};
    int rc = get(call, &reply, "/v1/models/%s", model);
    const char *id = json_text(reply.json, "fine_tuning_job_id");

    if (rc == EXIT_DONE && !*id)
        rc = fail(EXIT_FAILED, "%s is a base model: there is no adapter to fetch", model);
    if (rc == EXIT_DONE)
        *job_id = must(strdup(id));
    http_reply_clear(&reply);
    return rc;
}

int resolve_target(const struct call *call, const char *word, char **job_id)
{
    json_t *list;
    char *model = NULL;
    int rc;

    *job_id = NULL;
    /* the end of a model's name is that of its job's id: with a colon it is the name */
    if (!strchr(word, ':')) {
        json_t *element;
        size_t i;

        rc = list_fetch(call, kinds[THING_MODEL].path, 0, 0, &list);
        json_array_foreach (json_object_get(list, "data"), i, element) {
            if (strcmp(json_text(element, "id"), word) == 0)
                model = must(strdup(word));
        }
        json_decref(list);
        if (rc == EXIT_DONE && !model)
            return resolve(call, THING_JOB, word, job_id);
    } else {
        rc = resolve(call, THING_MODEL, word, &model);
    }
    if (rc == EXIT_DONE)
        rc = job_of_model(call, model, job_id);
    free(model);
    return rc;
}

int delete_each(const struct call *call, enum thing thing, const char *path_format,
                const char *done)
{
    int rc = EXIT_DONE;

    for (size_t i = 0; i < call->n_args; i++) {
        struct http_reply reply = {0};
        char *id, *path = NULL;
        int one = resolve(call, thing, call->args[i], &id);

        if (one == EXIT_DONE) {
            path = http_path(path_format, id);
            one = request(call, &(struct http_request){.method = "DELETE", .path = path}, &reply);
        }
        if (one == EXIT_DONE && !show_json(call, &reply))
            text_say("%s: %s", id, done);
        rc = rc == EXIT_DONE ? one : rc;
        http_reply_clear(&reply);
        free(path);
        free(id);
    }
    return rc;
}
