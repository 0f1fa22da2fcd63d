/* submit.c - see submit.h. */
#include "submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "load.h"

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
