/* submit.c - see submit.h. */
#include "submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "load.h"

#define STEP_TOKENS   512 /* 8 sequences of 64: short steps, all alike */
#define SEQUENCE_ROOM 64

static char *text_of(const char *json, const char *name)
{
    json_t *object = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(object, name));
    char *copy = text ? strdup(text) : NULL;

    json_decref(object);
    if (!copy)
        child_die("no \"%s\" in %.300s", name, json);
    return copy;
}

/* Uploads rows as a .jsonl file; the file's id, malloc'ed. */
static char *upload(const struct child *child, const char *rows, size_t size)
{
    static const char head[] =
        "--prilorad-rows\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n"
        "fine-tune\r\n--prilorad-rows\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"rows.jsonl\"\r\n\r\n",
                      tail[] = "\r\n--prilorad-rows--\r\n";
    char *body = malloc(sizeof head + size + sizeof tail), *answer, *id;

    if (!body)
        child_die("out of memory");
    memcpy(body, head, sizeof head - 1);
    memcpy(body + sizeof head - 1, rows, size);
    memcpy(body + sizeof head - 1 + size, tail, sizeof tail - 1);
    answer = load_request(child->port, "/v1/files", "multipart/form-data; boundary=prilorad-rows",
                          body, sizeof head - 1 + size + sizeof tail - 1);
    id = text_of(answer, "id");
    free(answer);
    free(body);
    return id;
}

char *submit(const struct child *child, const char *rows, size_t size, const char *settings)
{
    char *file = upload(child, rows, size), body[600], *answer, *id;

    snprintf(body, sizeof body,
             "{\"model\": \"" BUNDLED "\", \"training_file\": \"%s\", \"seed\": 1, \"method\": "
             "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {%s}}}}",
             file, settings);
    answer =
        load_request(child->port, "/v1/fine_tuning/jobs", "application/json", body, strlen(body));
    id = text_of(answer, "id");
    free(answer);
    free(file);
    return id;
}

json_int_t step_of(const struct child *child, const char *id, char status[32])
{
    char path[120], *answer, *now;
    json_t *object;
    json_int_t step;

    snprintf(path, sizeof path, JOB "%s", id);
    answer = load_request(child->port, path, NULL, NULL, 0);
    object = json_loads(answer, 0, NULL);
    now = text_of(answer, "status");
    step = json_integer_value(json_object_get(json_object_get(object, "progress"), "step"));
    snprintf(status, 32, "%s", now);
    if (strcmp(status, "failed") == 0)
        child_die("the job failed: %s", answer);
    json_decref(object);
    free(now);
    free(answer);
    return step;
}

/* Rows that all have the same number of tokens, so that every step is the same work. */
static char *equal_rows(size_t n, size_t *size)
{
    char *rows = NULL;
    FILE *out = open_memstream(&rows, size);

    for (size_t i = 0; i < n; i++) {
        fprintf(out, "{\"label\": \"%s\", \"text\": \"", i % 2 ? "even" : "odd");
        for (size_t k = 0; k < SEQUENCE_ROOM; k++)
            fputs("rain ", out);
        fputs("\"}\n", out);
    }
    if (fclose(out) != 0)
        child_die("out of memory");
    return rows;
}

char *submit_endless(const struct child *child)
{
    char settings[200], status[32], *rows, *id;
    size_t size;

    snprintf(settings, sizeof settings,
             "\"n_epochs\": 10000, \"max_length\": %d, \"batch_size\": %d, \"eval_steps\": 1000000",
             SEQUENCE_ROOM, STEP_TOKENS / SEQUENCE_ROOM);
    rows = equal_rows(2000, &size);
    id = submit(child, rows, size, settings);
    free(rows);
    while (step_of(child, id, status) < 50)
        child_sleep(0.1);
    return id;
}
