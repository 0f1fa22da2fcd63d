/* exposition.c - see exposition.h. */
#include "api/exposition.h"

#include <inttypes.h>
#include <math.h>

void exposition_family(struct exposition *e, const char *name, const char *type, const char *help)
{
    e->name = name;
    fprintf(e->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            fputc('\\', out);
        if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
}

/* "name_suffix{a="b",le="0.5"} ", le only if it is not NULL. */
static void write_name(const struct exposition *e, const char *suffix, const char *const *labels,
                       const char *le)
{
    const char *between = "{";

    fprintf(e->out, "%s%s", e->name, suffix);
    for (; labels && labels[0]; labels += 2) {
        fprintf(e->out, "%s%s=\"", between, labels[0]);
        write_text(e->out, labels[1]);
        fputc('"', e->out);
        between = ",";
    }
    if (le)
        fprintf(e->out, "%sle=\"%s\"", between, le);
    fputs(le || *between == ',' ? "} " : " ", e->out);
}

void exposition_sample(struct exposition *e, const char *const *labels, double value)
{
    if (isnan(value))
        return;
    write_name(e, "", labels, NULL);
    fprintf(e->out, "%.15g\n", value);
}

void exposition_count(struct exposition *e, const char *const *labels, uint64_t value)
{
    write_name(e, "", labels, NULL);
    fprintf(e->out, "%" PRIu64 "\n", value);
}

void exposition_histogram(struct exposition *e, const char *const *labels,
                          const struct meter_histogram *histogram)
{
    uint64_t total = 0;
    char le[32];

    for (size_t i = 0; i <= histogram->n_bounds; i++) {
        total += atomic_load_explicit(&histogram->counts->buckets[i], memory_order_relaxed);
        if (i < histogram->n_bounds)
            snprintf(le, sizeof le, "%.15g", histogram->bounds[i]);
        write_name(e, "_bucket", labels, i < histogram->n_bounds ? le : "+Inf");
        fprintf(e->out, "%" PRIu64 "\n", total);
    }
    write_name(e, "_sum", labels, NULL);
    fprintf(e->out, "%.15g\n",
            1e-6 * (double)atomic_load_explicit(&histogram->counts->sum_us, memory_order_relaxed));
    write_name(e, "_count", labels, NULL);
    fprintf(e->out, "%" PRIu64 "\n", total);
}
