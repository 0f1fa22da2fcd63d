/* reading_task.c - the task of a specification: what is learnt, by kind or by a GLUE task's name.
 */
#include <stdio.h>
#include <string.h>

#include "train/glue.h"
#include "train/reading.h"
#include "train/spec.h"
#include "train/windows.h"

/* A GLUE task's name, which says the type and, unless one is named, the metric. */
static enum prilora_status take_name(struct pl_reading *r, const char *member, const json_t *value)
{
    enum prilora_glue glue = prilora_glue_find(json_string_value(value));
    char seen[PL_SHOW_SIZE], names[256];

    if (!glue)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer, "%s: %s, but must be %s", member,
                          pl_reading_show(value, seen), pl_glue_list(names, sizeof names));
    if (r->spec->glue && r->spec->glue != glue)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "%s: the task is named twice, as %s and as %s", member,
                          prilora_glue_name(r->spec->glue), prilora_glue_name(glue));
    r->spec->glue = glue;
    return PRILORA_OK;
}

static enum prilora_status read_name(struct pl_reading *r, const json_t *value)
{
    return take_name(r, "name", value);
}

/* Also a name, as jobs of older clients have it there. */
static enum prilora_status read_type(struct pl_reading *r, const json_t *value)
{
    int task;
    enum prilora_status rc;

    if (prilora_glue_find(json_string_value(value)))
        return take_name(r, "type", value);
    rc = pl_reading_word(r, "type", pl_task_words, value, &task);
    if (rc == PRILORA_OK)
        r->spec->task = (enum prilora_task)task;
    return rc;
}

static enum prilora_status read_metric(struct pl_reading *r, const json_t *value)
{
    int metric;
    enum prilora_status rc = pl_reading_word(r, "metric", pl_metric_words, value, &metric);

    if (rc == PRILORA_OK)
        r->spec->metric = (enum prilora_metric)metric;
    return rc;
}

static enum prilora_status read_mismatched(struct pl_reading *r, const json_t *value)
{
    size_t n = json_string_length(value);
    char seen[PL_SHOW_SIZE];

    if (n < 1 || n >= sizeof r->spec->mismatched_file || memchr(json_string_value(value), 0, n))
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "mismatched_file: %s, but must be the id of an uploaded file",
                          pl_reading_show(value, seen));
    memcpy(r->spec->mismatched_file, json_string_value(value), n + 1);
    return PRILORA_OK;
}

/* An integer, or "auto", which leaves *out as it is and *given false. */
static enum prilora_status read_integer(struct pl_reading *r, const char *name, const json_t *value,
                                        long least, long most, long *out, bool *given)
{
    const json_int_t number = json_integer_value(value);
    char seen[PL_SHOW_SIZE];

    if (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0)
        return PRILORA_OK;
    if (!json_is_integer(value) || number < least || number > most)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "%s: %s, but must be an integer from %ld to %ld", name,
                          pl_reading_show(value, seen), least, most);
    *out = (long)number;
    *given = true;
    return PRILORA_OK;
}

static enum prilora_status read_stride(struct pl_reading *r, const json_t *value)
{
    return read_integer(r, "doc_stride", value, 0, PL_MAX_STRIDE, &r->spec->doc_stride,
                        &r->has_stride);
}

static enum prilora_status read_longest(struct pl_reading *r, const json_t *value)
{
    return read_integer(r, "max_answer_length", value, 1, PL_MAX_ANSWER_LENGTH,
                        &r->spec->max_answer_length, &r->has_longest);
}

static const struct {
    const char *name;
    enum prilora_status (*read)(struct pl_reading *r, const json_t *value);
    enum prilora_task task; /* the only one that has it; AUTO: any */
} members[] = {
    {"type", read_type, PRILORA_TASK_AUTO},
    {"name", read_name, PRILORA_TASK_AUTO},
    {"metric", read_metric, PRILORA_TASK_AUTO},
    {"mismatched_file", read_mismatched, PRILORA_TASK_AUTO},
    {"doc_stride", read_stride, PRILORA_TASK_QUESTION_ANSWERING},
    {"max_answer_length", read_longest, PRILORA_TASK_QUESTION_ANSWERING},
};
enum { N_MEMBERS = sizeof members / sizeof *members };

static enum prilora_status check_names(struct pl_reading *r, json_t *object)
{
    const char *known[N_MEMBERS + 1] = {NULL}, *name;
    json_t *value;

    for (size_t i = 0; i < N_MEMBERS; i++)
        known[i] = members[i].name;
    json_object_foreach (object, name, value) {
        size_t i = 0;

        while (i < N_MEMBERS && strcmp(known[i], name) != 0)
            i++;
        if (i == N_MEMBERS)
            return pl_reading_fail_unknown(r, name, known);
    }
    return PRILORA_OK;
}

/* Members that only one task has; one that is told from the data may become another. */
static enum prilora_status check_members(struct pl_reading *r, const json_t *object)
{
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (members[i].task == PRILORA_TASK_AUTO || members[i].task == r->spec->task ||
            !json_object_get(object, members[i].name))
            continue;
        return pl_fail_at(r->err, PRILORA_EINVAL, pl_reading_point(r, members[i].name),
                          "%s: is only for %s, which the type must say", members[i].name,
                          pl_task_word(members[i].task));
    }
    return PRILORA_OK;
}

/* What follows from the name, and whether the rest agrees with it. */
static enum prilora_status settle(struct pl_reading *r)
{
    struct prilora_spec *spec = r->spec;
    const struct pl_glue *glue = pl_glue_of(spec->glue);

    if (spec->mismatched_file[0] && spec->glue != PRILORA_GLUE_MNLI)
        return pl_fail_at(r->err, PRILORA_EINVAL, "/task/mismatched_file",
                          "mismatched_file: only the task mnli has mismatched data");
    if (glue && spec->task != PRILORA_TASK_AUTO && spec->task != glue->task)
        return pl_fail_at(r->err, PRILORA_EINVAL, "/task/type", "type: \"%s\", but %s is a %s task",
                          pl_task_word(spec->task), glue->name, pl_task_word(glue->task));
    if (glue) {
        spec->task = glue->task;
        if (spec->metric == PRILORA_METRIC_AUTO)
            spec->metric = glue->metric;
    }
    if (spec->task == PRILORA_TASK_AUTO)
        return PRILORA_OK;
    return pl_spec_check_metric(spec, spec->task, r->err);
}

enum prilora_status pl_reading_task(struct pl_reading *r, json_t *value)
{
    enum prilora_status rc = PRILORA_OK;
    char seen[PL_SHOW_SIZE];

    snprintf(r->where, sizeof r->where, "/task");
    snprintf(r->pointer, sizeof r->pointer, "/task");
    if (json_is_string(value)) {
        rc = read_type(r, value);
        return rc == PRILORA_OK ? settle(r) : rc;
    }
    if (!json_is_object(value))
        return pl_fail_at(r->err, PRILORA_EINVAL, "/task",
                          "task: %s, but must be a name or an object",
                          pl_reading_show(value, seen));
    rc = check_names(r, value);
    for (size_t i = 0; rc == PRILORA_OK && i < N_MEMBERS; i++) {
        const json_t *member = json_object_get(value, members[i].name);

        pl_reading_point(r, members[i].name);
        if (member)
            rc = members[i].read(r, member);
    }
    if (rc == PRILORA_OK)
        rc = settle(r);
    return rc == PRILORA_OK ? check_members(r, value) : rc;
}
