/* figures.c - see figures.h. */
#include "figures.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static FILE *file;
static json_t *list;

/* To both. */
static void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void print(const char *format, ...)
{
    FILE *const streams[] = {stdout, file};

    for (size_t i = 0; i < 2 && streams[i]; i++) {
        va_list arguments;

        va_start(arguments, format);
        vfprintf(streams[i], format, arguments);
        va_end(arguments);
        fflush(streams[i]);
    }
}

bool figures_open(const char *markdown)
{
    list = json_array();
    file = markdown ? fopen(markdown, "w") : NULL;
    print("| what | measured | target | |\n|---|---|---|---|\n");
    return file || !markdown;
}

static bool is_met(double value, enum figure_bound bound, double target)
{
    return bound == FIGURE_AT_MOST ? value <= target : value >= target;
}

void figures_add(const char *name, const char *unit, double value, enum figure_bound bound,
                 double target)
{
    bool told = bound == FIGURE_TOLD, met = !told && is_met(value, bound, target);
    json_t *figure = json_pack("{s:s, s:f, s:s, s:n, s:n}", "name", name, "value", value, "unit",
                               unit, "target", "met");

    print("| %s | %.4g %s |", name, value, unit);
    if (told) {
        print(" | |\n");
    } else {
        print(" %s %.4g %s | %s |\n", bound == FIGURE_AT_MOST ? "≤" : "≥", target, unit,
              met ? "met" : "**missed**");
        json_object_set_new(figure, "target", json_real(target));
        json_object_set_new(figure, "met", json_boolean(met));
    }
    json_array_append_new(list, figure);
}

bool figures_write_json(const char *path)
{
    json_t *object = json_pack("{s:I, s:O}", "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                               "figures", list);
    bool ok = object && json_dump_file(object, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;

    json_decref(object);
    return ok;
}

bool figures_close(void)
{
    bool ok = !file || fclose(file) == 0;

    json_decref(list);
    list = NULL;
    file = NULL;
    return ok;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

double figures_quantile(double *values, size_t n, double share)
{
    size_t at = (size_t)(share * (double)n);

    if (!n)
        return 0;
    qsort(values, n, sizeof *values, compare);
    return values[at < n ? at : n - 1];
}
