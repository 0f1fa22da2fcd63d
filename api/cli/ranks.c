/* ranks.c - what a finished adapter's directions carry, layer by layer, and ranks by that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

static void put_percent(struct table *table, const json_t *object, const char *path)
{
    double share = 0;
    char *text =
        json_number(object, path, &share) ? format("%.1f%%", 100 * share) : must(strdup("-"));

    table_cell(table, text);
    free(text);
}

static void put_count(struct table *table, const json_t *object, const char *path)
{
    char *text = json_at(object, path) ? format("%lld", (long long)json_whole(object, path))
                                       : must(strdup("-"));

    table_cell(table, text);
    free(text);
}

/* ---- the suggestion ---- */

static void print_suggestion(const json_t *suggestion)
{
    static const struct column columns[] = {
        {"layer", COLUMN_RIGHT},     {"rank", COLUMN_RIGHT},       {"suggested", COLUMN_RIGHT},
        {"of update", COLUMN_RIGHT}, {"lower half", COLUMN_RIGHT}, {"kept", COLUMN_RIGHT},
        {"why", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *layer;
    size_t i;

    json_array_foreach ((json_t *)json_at(suggestion, "layers"), i, layer) {
        char *number = format("%lld", (long long)json_whole(layer, "layer") + 1);

        table_cell(table, number);
        put_count(table, layer, "before");
        put_count(table, layer, "rank");
        put_percent(table, layer, "energy");
        put_percent(table, layer, "lower_share");
        put_percent(table, layer, "held");
        table_cell(table, json_text(layer, "reason"));
        free(number);
    }
    table_print(table);
    table_free(table);
}

/* As --set takes it. */
static void print_list(const json_t *suggestion)
{
    const json_t *rank;
    size_t i;

    fputs("ranks=", stdout);
    json_array_foreach ((json_t *)json_at(suggestion, "ranks"), i, rank)
        printf("%s%lld", i ? "," : "", (long long)json_integer_value(rank));
    putchar('\n');
}

/* ---- every map ---- */

static void put_real(struct table *table, const json_t *object, const char *path)
{
    double value;

    table_cell(table, json_number(object, path, &value) ? text_real(value) : "-");
}

static void print_full(const json_t *maps)
{
    static const struct column columns[] = {
        {"LAYER", COLUMN_RIGHT},
        {"MAP", COLUMN_LEFT},
        {"RANK", COLUMN_RIGHT},
        {"|UPDATE|", COLUMN_RIGHT},
        {"OF WEIGHT", COLUMN_RIGHT},
        {"LOWER HALF", COLUMN_RIGHT},
        {"EFFECTIVE", COLUMN_RIGHT},
        {"STABLE", COLUMN_RIGHT},
        {"90%", COLUMN_RIGHT},
        {"99%", COLUMN_RIGHT},
        {"OUTPUT: OF WEIGHT", COLUMN_RIGHT},
        {"LOWER HALF", COLUMN_RIGHT},
        {"EFFECTIVE", COLUMN_RIGHT},
        {"99%", COLUMN_RIGHT},
        {"MODULE", COLUMN_LEFT},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *map;
    size_t i;

    json_array_foreach ((json_t *)maps, i, map) {
        char *number = format("%lld", (long long)json_whole(map, "layer") + 1);

        table_cell(table, number);
        table_cell(table, json_text(map, "map"));
        put_count(table, map, "rank");
        put_real(table, map, "update.norm");
        put_percent(table, map, "update.relative");
        put_percent(table, map, "update.lower_share");
        put_real(table, map, "update.effective_rank");
        put_real(table, map, "update.stable_rank");
        put_count(table, map, "update.rank_90");
        put_count(table, map, "update.rank_99");
        put_percent(table, map, "output.relative");
        put_percent(table, map, "output.lower_share");
        put_real(table, map, "output.effective_rank");
        put_count(table, map, "output.rank_99");
        table_cell(table, json_text(map, "module"));
        free(number);
    }
    table_print(table);
    table_free(table);
}

/* ---- the command ---- */

/* "/v1/fine_tuning/jobs/ID/ranks?budget=...&energy=...": what was given is checked there. */
static int fetch(struct call *call, const char *id, struct http_reply *reply)
{
    const char *energy = call_option(call, "energy");
    char *path, *rest = must(strdup(""));
    int64_t budget;
    int rc = call_integer(call, "budget", 1, 1000000000000, 0, &budget);

    if (rc == EXIT_DONE && energy && energy[strspn(energy, "0123456789.eE-")] != '\0')
        rc = fail(EXIT_USAGE, "--energy: \"%s\" is no number", energy);
    if (rc == EXIT_DONE && call_has(call, "budget")) {
        free(rest);
        rest = format("?budget=%lld", (long long)budget);
    }
    path = format("/v1/fine_tuning/jobs/%s/ranks%s%s%s", id, rest,
                  energy ? *rest ? "&energy=" : "?energy=" : "", energy ? energy : "");
    if (rc == EXIT_DONE)
        rc = request(call, &(struct http_request){.method = "GET", .path = path}, reply);
    free(path);
    free(rest);
    return rc;
}

int run_ranks(struct call *call)
{
    struct http_reply reply = {0};
    const json_t *suggestion;
    char *id;
    int rc = resolve_target(call, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = fetch(call, id, &reply);
    if (rc == EXIT_DONE && !show_json(call, &reply)) {
        suggestion = json_at(reply.json, "suggestion");
        if (call_has(call, "full"))
            print_full(json_at(reply.json, "maps"));
        else if (suggestion)
            print_suggestion(suggestion);
        text_say("%s", json_text(reply.json, "reason"));
        if (suggestion)
            print_list(suggestion);
    }
    http_reply_clear(&reply);
    free(id);
    return rc;
}
