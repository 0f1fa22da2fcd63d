/* report.c - see report.h. */
#include "report.h"

#include <stdarg.h>
#include <string.h>

#include "ceilings.h"

#define MB (1024.0 * 1024.0)

static void say(const struct report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct report *r, const char *format, ...)
{
    for (int k = 0; k < 2; k++) {
        FILE *to = k ? r->markdown : stdout;
        va_list values;

        if (!to)
            continue;
        va_start(values, format);
        vfprintf(to, format, values);
        va_end(values);
        fflush(to);
    }
}

static void name_processor(char *name, size_t room)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(name, room, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(name, room, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

bool report_open(struct report *r, size_t threads, const char *markdown)
{
    char processor[128];

    *r = (struct report){.threads = threads};
    if (markdown && !(r->markdown = fopen(markdown, "w"))) {
        perror(markdown);
        return false;
    }
    r->cases = json_array();
    r->crews = json_object();
    r->sgemm = ceiling_sgemm(threads);
    r->fma = ceiling_fma(threads);
    r->bandwidth = ceiling_bandwidth(threads);
    name_processor(processor, sizeof processor);
    say(r,
        "%zu cores of %s: %.0f GFLOP/s fused multiply-add, %.0f GFLOP/s sgemm 1024x768x768, "
        "%.1f GB/s read\n\n",
        threads, processor, r->fma * 1e-9, r->sgemm * 1e-9, r->bandwidth * 1e-9);
    say(r, "| shape | settings | batch | length | tokens/s | needed GFLOP/s | of sgemm | peak MB | "
           "forecast MB |\n|---|---|---|---|---|---|---|---|---|\n");
    return true;
}

/* ", \"compute\": \"bf16\"" as "compute: bf16" */
static const char *plain(char *text, size_t room, const char *settings)
{
    size_t n = 0;

    for (const char *c = settings; *c && n + 1 < room; c++)
        if (*c != '"' && !(n == 0 && strchr(", ", *c)))
            text[n++] = *c;
    text[n] = '\0';
    return text;
}

static json_t *case_json(const struct report *r, const struct step_case *c,
                         const struct step_result *result)
{
    json_t *parts = json_object();
    char settings[128];

    for (size_t p = 0; p < PL_PARTS; p++)
        json_object_set_new(parts, step_part_names[p], json_real(result->parts[p]));
    json_object_set_new(parts, "waiting", json_real(step_waiting(result)));
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:o}", "shape", c->shape,
                     "settings", plain(settings, sizeof settings, c->settings), "batch",
                     (json_int_t)c->batch, "length", (json_int_t)c->length, "tokens_per_second",
                     result->tokens_per_s, "needed_operations_per_second", result->operations_per_s,
                     "of_sgemm", result->operations_per_s / r->sgemm, "peak_bytes",
                     result->peak_bytes, "forecast_bytes", result->forecast_bytes, "parts", parts);
}

static void say_case(const struct report *r, const struct step_case *c)
{
    char length[24] = "GLUE-like", settings[128];

    if (c->length)
        snprintf(length, sizeof length, "%zu", c->length);
    say(r, "| %s | %s | %zu | %s |", c->shape, plain(settings, sizeof settings, c->settings),
        c->batch, length);
}

void report_case(struct report *r, const struct step_case *c, const struct step_result *result)
{
    say_case(r, c);
    say(r, " %.0f | %.1f | %.2f | %.0f | %.0f |\n", result->tokens_per_s,
        result->operations_per_s * 1e-9, result->operations_per_s / r->sgemm,
        result->peak_bytes / MB, result->forecast_bytes / MB);
    json_array_append_new(r->cases, case_json(r, c, result));
    if (r->n < REPORT_MAX_CASES)
        r->seen[r->n++] = (struct report_row){*c, *result};
}

void report_parts(const struct report *r)
{
    say(r, "\nWhere the threads' time goes, in percent:\n\n| shape | settings | batch | length |");
    for (size_t p = 0; p < PL_PARTS; p++)
        say(r, " %s |", step_part_names[p]);
    say(r, " waiting |\n|---|---|---|---|");
    for (size_t p = 0; p < PL_PARTS + 1; p++)
        say(r, "---|");
    say(r, "\n");
    for (size_t i = 0; i < r->n; i++) {
        say_case(r, &r->seen[i].which);
        for (size_t p = 0; p < PL_PARTS; p++)
            say(r, " %.1f |", 100 * r->seen[i].result.parts[p]);
        say(r, " %.1f |\n", 100 * step_waiting(&r->seen[i].result));
    }
}

void report_crews(struct report *r, const struct step_case *c, const struct step_result *one,
                  const struct step_result *many)
{
    const double ratio = many->tokens_per_s / one->tokens_per_s;

    say(r,
        "\n%s, batches of %zu x %zu: one run with %zu threads %.0f tokens/s; %zu runs with one "
        "thread each, on one base, %.0f tokens/s (%.2f).\nProportional set size %.0f and %.0f MB, "
        "of which the base, once, %.0f MB.\n",
        c->shape, c->batch, c->length, r->threads, one->tokens_per_s, r->threads,
        many->tokens_per_s, ratio, one->pss_bytes / MB, many->pss_bytes / MB, one->base_bytes / MB);
    json_object_set_new(r->crews, "one_run_tokens_per_second", json_real(one->tokens_per_s));
    json_object_set_new(r->crews, "many_runs_tokens_per_second", json_real(many->tokens_per_s));
    json_object_set_new(r->crews, "one_run_pss_bytes", json_real(one->pss_bytes));
    json_object_set_new(r->crews, "many_runs_pss_bytes", json_real(many->pss_bytes));
    json_object_set_new(r->crews, "base_bytes", json_real(one->base_bytes));
}

static bool save_json(const struct report *r, const char *path)
{
    json_t *all =
        json_pack("{s:I, s:f, s:f, s:f, s:O, s:O}", "threads", (json_int_t)r->threads,
                  "fma_per_second", r->fma, "sgemm_per_second", r->sgemm, "bytes_read_per_second",
                  r->bandwidth, "cases", r->cases, "crews", r->crews);
    bool good = all && json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;

    if (!good)
        fprintf(stderr, "bench: %s cannot be written\n", path);
    json_decref(all);
    return good;
}

bool report_close(struct report *r, const char *json)
{
    bool good = !json || save_json(r, json);

    if (r->markdown && fclose(r->markdown) != 0)
        good = false;
    json_decref(r->cases);
    json_decref(r->crews);
    return good;
}
