/* experiment_results.c - GET /v1/experiments/{id}/results: the table, in the form asked for. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/list.h"
#include "api/respond.h"
#include "api/results.h"

/* The forms, by name and by what Accept has; the first is what everybody else gets. */
enum form { FORM_JSON, FORM_CSV, FORM_MARKDOWN, N_FORMS };
static const struct {
    const char *name, *media_type, *content_type;
} forms[N_FORMS] = {
    [FORM_JSON] = {"json", "application/json", NULL},
    [FORM_CSV] = {"csv", "text/csv", "text/csv; charset=utf-8; header=present"},
    [FORM_MARKDOWN] = {"markdown", "text/markdown", "text/markdown; charset=utf-8"},
};

static bool read_form(struct request *r, enum form *out)
{
    const char *name = query_get(&r->query, "format");
    const char *accept = request_header(r, MHD_HTTP_HEADER_ACCEPT);

    for (int i = 0; i < N_FORMS; i++) {
        *out = (enum form)i;
        if (name ? strcmp(name, forms[i].name) == 0 : accept && strstr(accept, forms[i].media_type))
            return true;
    }
    *out = FORM_JSON;
    if (name)
        respond_error(r, 400, "invalid_value", "format",
                      "format: \"%.60s\", but must be json, csv or markdown", name);
    return !name;
}

/* compare=a,b: a against b. Without it the first method against every other. */
static bool read_contrast(struct request *r, const struct results *results, struct contrast *out)
{
    const char *text = query_get(&r->query, "compare"), *comma;

    *out = (struct contrast){0, SIZE_MAX};
    if (!text)
        return true;
    comma = strchr(text, ',');
    if (comma) {
        out->a = results_method(results, text, (size_t)(comma - text));
        out->b = results_method(results, comma + 1, strlen(comma + 1));
    }
    if (comma && out->a != SIZE_MAX && out->b != SIZE_MAX && out->a != out->b)
        return true;
    respond_error(r, 400, "invalid_value", "compare",
                  "compare: \"%.150s\", but must be the names of two methods of this experiment "
                  "with a comma between",
                  text);
    return false;
}

static void respond_text(struct request *r, const struct results *results, enum form form,
                         const struct contrast *contrast)
{
    struct MHD_Response *response = NULL;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (out && form == FORM_CSV)
        results_write_csv(out, results);
    else if (out)
        results_write_markdown(out, results, contrast);
    if (out && fclose(out) == 0)
        response = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    respond_take(r, response ? 200 : 503, response);
    respond_size(r, response ? n : 0);
    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, forms[form].content_type);
}

static void respond_results(struct request *r, const struct results *results, enum form form)
{
    struct contrast contrast;
    struct json_out out = {0};

    if (!read_contrast(r, results, &contrast))
        return;
    if (form != FORM_JSON) {
        respond_text(r, results, form, &contrast);
        return;
    }
    results_write_json(&out, results, &contrast);
    respond_written(r, 200, &out);
}

static void show(struct request *r, const struct experiment *e, enum form form)
{
    struct prilora_error err;
    struct outcome *outcomes;
    struct results *results = NULL;
    size_t n;
    enum prilora_status rc = experiments_outcomes(r->api->store, e->id, &outcomes, &n, &err);

    if (rc == PRILORA_OK)
        rc = results_make(&results, e, outcomes, n, query_get(&r->query, "metric"), &err);
    if (rc == PRILORA_OK)
        respond_results(r, results, form);
    else if (rc == PRILORA_ENOENT)
        respond_error(r, 400, "invalid_value", "metric", "metric: %s", err.message);
    else
        respond_internal(r, &err);
    results_free(results);
    experiments_free_outcomes(outcomes, n);
}

void api_experiment_results(struct request *r)
{
    static const char *const names[] = {"format", "metric", "compare", NULL};
    struct experiment e;
    enum form form;

    if (!query_check(r, names) || !read_form(r, &form) || !api_find_experiment(r, &e))
        return;
    show(r, &e, form);
    experiment_clear(&e);
}
