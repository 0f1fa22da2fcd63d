/* grid.c - see grid.h. */
#include "api/grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/member.h"
#include "api/utf8.h"
#include "daemon/json_memory.h"

#define MAX_NAME 64
#define MAX_SEED 2147483647
#define LETTERS  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* ---- reading ---- */

static void drop_nulls(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe (object, next, name, value)
        if (json_is_null(value))
            json_object_del(object, name);
}

static bool fail_memory(struct fault *fault)
{
    return fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
}

/* The fault of a member of element `i` of a list becomes one of the body. */
static bool below(struct fault *fault, const char *list, size_t i)
{
    char pointer[sizeof fault->pointer];

    snprintf(pointer, sizeof pointer, "/%s/%zu%.150s", list, i, fault->pointer);
    memcpy(fault->pointer, pointer, sizeof pointer);
    fault_dotted(fault->param, sizeof fault->param, fault->pointer);
    utf8_repair(fault->param);
    return false;
}

/* Names stand in queries, tables and CSV: nothing in them needs an escape. */
static bool check_name(const json_t *value, struct fault *fault)
{
    const char *name = json_string_value(value);
    size_t n = name ? strlen(name) : 0;

    if (n >= 1 && n <= MAX_NAME && strchr(LETTERS, name[0]) &&
        n == strspn(name, LETTERS " ._+-/=()%") && name[n - 1] != ' ')
        return true;
    return member_fail(fault, "name", value,
                       "1 to 64 letters, digits, spaces and any of ._+-/=()%, a letter or digit "
                       "first");
}

static bool check_unique(const json_t *list, size_t i, struct fault *fault)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(grid_name(list, k), grid_name(list, i)) == 0)
            return member_fail(fault, "name", json_object_get(json_array_get(list, i), "name"),
                               "another name than those before it");
    return true;
}

static bool check_method(json_t *method, struct fault *fault)
{
    static const char *const names[] = {"name", "method", NULL};
    const json_t *value = json_object_get(method, "method");

    return member_check_names(method, names, fault) &&
           check_name(json_object_get(method, "name"), fault) &&
           (json_is_object(value) ||
            member_fail(fault, "method", value, "an object, as a job's method"));
}

static bool check_task(json_t *task, struct fault *fault)
{
    static const char *const names[] = {"name", "training_file",   "validation_file",
                                        "task", "hyperparameters", NULL};
    const json_t *value = json_object_get(task, "hyperparameters");

    return member_check_names(task, names, fault) &&
           check_name(json_object_get(task, "name"), fault) &&
           (!value || json_is_object(value) ||
            member_fail(fault, "hyperparameters", value,
                        "an object, as a method's hyperparameters"));
}

static bool read_list(const struct grid *grid, const char *name, size_t max,
                      bool (*check)(json_t *element, struct fault *fault), json_t **out, size_t *n,
                      struct fault *fault)
{
    json_t *list = json_object_get(grid->body, name), *element;
    char must[64];
    size_t i;

    snprintf(must, sizeof must, "a list of 1 to %zu objects", max);
    if (json_array_size(list) < 1 || json_array_size(list) > max)
        return member_fail(fault, name, list, must);
    *out = list;
    *n = json_array_size(list);
    json_array_foreach (list, i, element) {
        if (!json_is_object(element)) {
            member_fail(fault, name, element, must);
            fault->pointer[0] = '\0';
            return below(fault, name, i);
        }
        drop_nulls(element);
        if (!check(element, fault) || !check_unique(list, i, fault))
            return fault->status == 503 ? false : below(fault, name, i);
    }
    return true;
}

static bool fail_seeds(const json_t *value, struct fault *fault)
{
    return member_fail(fault, "seeds", value,
                       "how many (1 to 1000), or a list of so many different integers from 0 to "
                       "2147483647");
}

static bool read_seed_list(struct grid *out, const json_t *list, struct fault *fault)
{
    const json_t *element;
    size_t i;

    json_array_foreach ((json_t *)list, i, element) {
        out->seeds[i] = json_integer_value(element);
        if (!json_is_integer(element) || out->seeds[i] < 0 || out->seeds[i] > MAX_SEED)
            return fail_seeds(element, fault);
        for (size_t k = 0; k < i; k++)
            if (out->seeds[k] == out->seeds[i])
                return fail_seeds(list, fault);
    }
    return true;
}

static bool read_seeds(struct grid *out, struct fault *fault)
{
    const json_t *value = json_object_get(out->body, "seeds");
    bool is_list = json_is_array(value);
    json_int_t count = !value    ? GRID_SEEDS
                       : is_list ? (json_int_t)json_array_size(value)
                                 : json_integer_value(value);

    if (count < 1 || count > GRID_MAX_SEEDS)
        return fail_seeds(value, fault);
    out->n_seeds = (size_t)count;
    out->seeds = calloc(out->n_seeds, sizeof *out->seeds);
    if (!out->seeds)
        return fail_memory(fault);
    for (size_t i = 0; i < out->n_seeds; i++)
        out->seeds[i] = (int64_t)i + 1;
    return !is_list || read_seed_list(out, value, fault);
}

static bool check_size(const struct grid *grid, struct fault *fault)
{
    size_t n = grid->n_methods * grid->n_tasks * grid->n_seeds;

    if (n <= GRID_MAX_CELLS)
        return true;
    return fault_set(fault, 400, "too_many_cells", NULL,
                     "%zu methods on %zu tasks with %zu seeds are %zu jobs, but an experiment has "
                     "at most %d",
                     grid->n_methods, grid->n_tasks, grid->n_seeds, n, GRID_MAX_CELLS);
}

static bool read_grid(struct grid *out, struct fault *fault)
{
    static const char *const names[] = {"name",  "model",    "methods",  "tasks",
                                        "seeds", "metadata", "priority", NULL};
    const json_t *name;

    if (!member_check_names(out->body, names, fault))
        return false;
    drop_nulls(out->body);
    name = json_object_get(out->body, "name");
    return (!name || check_name(name, fault)) &&
           read_list(out, "methods", GRID_MAX_METHODS, check_method, &out->methods, &out->n_methods,
                     fault) &&
           read_list(out, "tasks", GRID_MAX_TASKS, check_task, &out->tasks, &out->n_tasks, fault) &&
           read_seeds(out, fault) && check_size(out, fault);
}

bool grid_decode(const char *body, size_t size, struct grid *out, struct fault *fault)
{
    unsigned long before = json_memory_refusals();
    bool right;

    *out = (struct grid){.body = member_body(body, size, fault)};
    right = out->body && read_grid(out, fault);
    if (out->body && json_memory_refusals() != before)
        return fail_memory(fault);
    return right;
}

void grid_clear(struct grid *grid)
{
    json_decref(grid->body);
    free(grid->seeds);
    *grid = (struct grid){0};
}

const char *grid_name(const json_t *list, size_t i)
{
    const char *name = json_string_value(json_object_get(json_array_get(list, i), "name"));

    return name ? name : "";
}

/* ---- its jobs ---- */

char *grid_text(const struct grid *grid)
{
    json_t *seeds = json_array(), *object;
    char *text;

    for (size_t i = 0; i < grid->n_seeds; i++)
        json_add(&seeds, json_integer((json_int_t)grid->seeds[i]));
    object = seeds ? json_pack("{s:O, s:O, s:o}", "methods", grid->methods, "tasks", grid->tasks,
                               "seeds", seeds)
                   : NULL;
    text = object ? json_whole_text(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

/* Where the settings of a method are: {"type": T, T: {"hyperparameters"}}; made where they are not.
 * NULL: the method has another shape, which the library will not like. */
static json_t *settings_of(json_t *method)
{
    const char *type = json_string_value(json_object_get(method, "type"));
    json_t *inner, *settings;

    if (!type)
        return NULL;
    inner = json_object_get(method, type);
    if (!inner || json_is_null(inner)) {
        inner = json_object();
        json_object_set_new(method, type, inner);
    }
    settings = json_object_get(inner, "hyperparameters");
    if (json_is_object(inner) && (!settings || json_is_null(settings))) {
        settings = json_object();
        json_object_set_new(inner, "hyperparameters", settings);
    }
    return json_is_object(settings) ? settings : NULL;
}

/* The method with what the task sets and it leaves open. */
static json_t *merge(const struct grid *grid, size_t method, size_t task)
{
    json_t *more = json_object_get(json_array_get(grid->tasks, task), "hyperparameters");
    json_t *merged =
        json_deep_copy(json_object_get(json_array_get(grid->methods, method), "method"));
    json_t *settings = more ? settings_of(merged) : NULL;

    if (settings)
        json_object_update_missing(settings, more);
    return merged;
}

char *grid_job(const struct grid *grid, size_t method, size_t task)
{
    static const char *const of_grid[] = {"model", "metadata", "priority"};
    static const char *const of_task[] = {"training_file", "validation_file", "task"};
    unsigned long before = json_memory_refusals();
    json_t *job = json_object(), *from = json_array_get(grid->tasks, task);
    char *text;

    for (size_t i = 0; i < sizeof of_grid / sizeof *of_grid; i++)
        if (json_object_get(grid->body, of_grid[i]))
            json_object_set(job, of_grid[i], json_object_get(grid->body, of_grid[i]));
    for (size_t i = 0; i < sizeof of_task / sizeof *of_task; i++)
        if (json_object_get(from, of_task[i]))
            json_object_set(job, of_task[i], json_object_get(from, of_task[i]));
    json_object_set_new(job, "seed", json_integer((json_int_t)grid->seeds[0]));
    json_object_set_new(job, "method", merge(grid, method, task));
    text = job && json_memory_refusals() == before ? json_whole_text(job, JSON_COMPACT) : NULL;
    json_decref(job);
    return text;
}

/* ---- faults ---- */

/* Whether a pointer is to a hyperparameter that came from the task; *name it. */
static bool is_tasks(const struct grid *grid, size_t method, size_t task, const char *pointer,
                     const char **name)
{
    const json_t *own = json_object_get(json_array_get(grid->methods, method), "method");
    const char *type = json_string_value(json_object_get(own, "type"));
    char before[128];

    snprintf(before, sizeof before, "/method/%.60s/hyperparameters/", type ? type : "");
    if (strncmp(pointer, before, strlen(before)) != 0)
        return false;
    *name = pointer + strlen(before);
    own = json_object_get(json_object_get(own, type), "hyperparameters");
    return !json_object_get(own, *name) &&
           json_object_get(json_object_get(json_array_get(grid->tasks, task), "hyperparameters"),
                           *name);
}

/* Where a job's members come from. */
static const struct {
    const char *member;
    enum { OF_METHOD, OF_TASK, OF_SEEDS } owner;
} owners[] = {
    {"/method", OF_METHOD},        {"/task", OF_TASK},  {"/training_file", OF_TASK},
    {"/validation_file", OF_TASK}, {"/seed", OF_SEEDS},
};

static bool is_below(const char *pointer, const char *member)
{
    size_t n = strlen(member);

    return strncmp(pointer, member, n) == 0 && (pointer[n] == '\0' || pointer[n] == '/');
}

void grid_place_fault(const struct grid *grid, size_t method, size_t task, struct fault *fault)
{
    char old[sizeof fault->pointer];
    const char *name;
    size_t used = strlen(fault->message);

    if (!fault->pointer[0] && !fault->param[0])
        old[0] = '\0';
    else if (fault->pointer[0])
        memcpy(old, fault->pointer, sizeof old);
    else
        snprintf(old, sizeof old, "/%.180s", fault->param);
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        if (!is_below(old, owners[i].member))
            continue;
        if (is_tasks(grid, method, task, old, &name))
            snprintf(fault->pointer, sizeof fault->pointer, "/tasks/%zu/hyperparameters/%.120s",
                     task, name);
        else if (owners[i].owner == OF_SEEDS)
            snprintf(fault->pointer, sizeof fault->pointer, "/seeds");
        else
            snprintf(fault->pointer, sizeof fault->pointer, "/%s/%zu%.150s",
                     owners[i].owner == OF_TASK ? "tasks" : "methods",
                     owners[i].owner == OF_TASK ? task : method, old);
        fault_dotted(fault->param, sizeof fault->param, fault->pointer);
    }
    if (fault->status < 500)
        snprintf(fault->message + used, sizeof fault->message - used,
                 " (method \"%s\" on task \"%s\")", grid_name(grid->methods, method),
                 grid_name(grid->tasks, task));
    utf8_repair(fault->pointer);
    utf8_repair(fault->param);
    utf8_repair(fault->message);
}
