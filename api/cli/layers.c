/* layers.c - rank and pruning of every adapted map: a row for each layer, a column for each map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define MAX_MAPS (TABLE_MAX_COLUMNS - 1)

static const char *short_name(const char *map)
{
    static const char *const names[][2] = {{"attention_output", "attn out"},
                                           {"intermediate", "ff in"},
                                           {"output", "ff out"}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], map) == 0)
            return names[i][1];
    }
    return map;
}

/* The maps there are, in the order they come; NULL after the last. */
static size_t find_maps(const json_t *data, const char *maps[MAX_MAPS])
{
    const json_t *entry;
    size_t i, n = 0;

    json_array_foreach ((json_t *)data, i, entry) {
        const char *map = json_text(entry, "map");
        size_t j = 0;

        while (j < n && strcmp(maps[j], map) != 0)
            j++;
        if (j == n && n < MAX_MAPS)
            maps[n++] = map;
    }
    return n;
}

static const json_t *find_entry(const json_t *data, int64_t layer, const char *map)
{
    const json_t *entry;
    size_t i;

    json_array_foreach ((json_t *)data, i, entry) {
        if (json_whole(entry, "layer") == layer && strcmp(json_text(entry, "map"), map) == 0)
            return entry;
    }
    return NULL;
}

static int64_t last_layer(const json_t *data)
{
    const json_t *entry;
    int64_t last = -1;
    size_t i;

    json_array_foreach ((json_t *)data, i, entry) {
        if (json_whole(entry, "layer") > last)
            last = json_whole(entry, "layer");
    }
    return last;
}

static void put_entry(struct table *table, const json_t *entry)
{
    double sparsity = 0;
    char *text;

    json_number(entry, "sparsity", &sparsity);
    text = entry ? format("%2lld %3.0f%%", (long long)json_whole(entry, "rank"), 100 * sparsity)
                 : must(strdup("-"));
    table_cell(table, text);
    free(text);
}

static void print_grid(const json_t *data)
{
    const char *maps[MAX_MAPS];
    size_t n = find_maps(data, maps);
    struct column columns[TABLE_MAX_COLUMNS] = {{"layer", COLUMN_RIGHT}};
    struct table *table;

    for (size_t i = 0; i < n; i++)
        columns[i + 1] = (struct column){short_name(maps[i]), COLUMN_RIGHT};
    table = table_new(columns, n + 1);
    for (int64_t layer = 0; layer <= last_layer(data); layer++) {
        char *number = format("%lld", (long long)layer + 1);

        table_cell(table, number);
        free(number);
        for (size_t i = 0; i < n; i++)
            put_entry(table, find_entry(data, layer, maps[i]));
    }
    table_print(table);
    table_free(table);
}

static void print_totals(const json_t *data)
{
    int64_t n_parameters = 0, n_zero = 0;
    const json_t *entry;
    double churn, total_churn = 0;
    size_t i;

    json_array_foreach ((json_t *)data, i, entry) {
        n_parameters += json_whole(entry, "n_parameters");
        n_zero += json_whole(entry, "n_prunable") - json_whole(entry, "n_nonzero");
        total_churn += json_number(entry, "churn", &churn) ? churn : 0;
    }
    printf("rank and share of zeros in A; %lld parameters, %lld of them zero\n",
           (long long)n_parameters, (long long)n_zero);
    entry = json_array_get(data, 0);
    if (json_whole(entry, "n_prunings") > 0)
        printf("prunings: %lld, last at step %lld, where %.1f%% of the zeros were new\n",
               (long long)json_whole(entry, "n_prunings"),
               (long long)json_whole(entry, "last_pruning_step"),
               100 * total_churn / (double)json_array_size(data));
    else
        puts("not pruned yet");
}

static void print_full(const json_t *data)
{
    static const struct column columns[] = {
        {"LAYER", COLUMN_RIGHT},    {"MAP", COLUMN_LEFT},         {"RANK", COLUMN_RIGHT},
        {"SCALE", COLUMN_RIGHT},    {"PARAMETERS", COLUMN_RIGHT}, {"NONZERO", COLUMN_RIGHT},
        {"ZERO", COLUMN_RIGHT},     {"|A|", COLUMN_RIGHT},        {"|B|", COLUMN_RIGHT},
        {"|UPDATE|", COLUMN_RIGHT}, {"INPUT MIN", COLUMN_RIGHT},  {"MEAN", COLUMN_RIGHT},
        {"MAX", COLUMN_RIGHT},      {"PRUNED AT", COLUMN_RIGHT},  {"CHURN", COLUMN_RIGHT},
        {"MODULE", COLUMN_LEFT},
    };
    static const char *const names[] = {"rank",       "scale",       "n_parameters",
                                        "n_nonzero",  "sparsity",    "a_norm",
                                        "b_norm",     "update_norm", "input_min",
                                        "input_mean", "input_max",   "last_pruning_step",
                                        "churn"};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *entry;
    size_t i;

    json_array_foreach ((json_t *)data, i, entry) {
        char *layer = format("%lld", (long long)json_whole(entry, "layer") + 1);

        table_cell(table, layer);
        table_cell(table, json_text(entry, "map"));
        for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
            char *shown = json_shown(json_at(entry, names[j]));

            table_cell(table, shown);
            free(shown);
        }
        table_cell(table, json_text(entry, "module"));
        free(layer);
    }
    table_print(table);
    table_free(table);
}

int run_layers(struct call *call)
{
    struct http_reply reply = {0};
    const json_t *data;
    char *id;
    int rc = resolve(call, THING_JOB, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = get(call, &reply, "/v1/fine_tuning/jobs/%s/layers", id);
    if (rc == EXIT_DONE && !show_json(call, &reply)) {
        data = json_at(reply.json, "data");
        if (json_array_size(data) == 0) {
            puts("nothing: the job has not begun to train, or adapts no maps (method head)");
        } else if (call_has(call, "full")) {
            print_full(data);
        } else {
            print_grid(data);
            print_totals(data);
        }
    }
    http_reply_clear(&reply);
    free(id);
    return rc;
}
