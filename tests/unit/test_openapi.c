/* api/openapi.json against the tables that the server runs by: routes, and settings of a job. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "api/routes.h"
#include "train/settings.h"

static json_t *document;

static int load(void **state)
{
    json_error_t error;

    (void)state;
    document = json_load_file("api/openapi.json", JSON_REJECT_DUPLICATES, &error);
    if (!document)
        fprintf(stderr, "api/openapi.json:%d: %s\n", error.line, error.text);
    return document ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

static const char *text(const json_t *object, const char *member)
{
    const char *value = json_string_value(json_object_get(object, member));

    return value ? value : "";
}

/* "{id*}", which takes slashes too, is "{id}" in the document. */
static void path_of(const struct route *route, char *out, size_t room)
{
    size_t n = 0;

    for (const char *c = route->pattern; *c && n + 1 < room; c++)
        if (*c != '*')
            out[n++] = *c;
    out[n] = '\0';
}

static const json_t *operation_of(const struct route *route)
{
    char path[128], method[16];
    size_t n = 0;

    path_of(route, path, sizeof path);
    for (; route->method[n]; n++)
        method[n] = (char)(route->method[n] | 0x20);
    method[n] = '\0';
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

static void every_route_is_described(void **state)
{
    static const char *const scopes[] = {"none", "read", "submit", "admin"};

    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        const json_t *operation = operation_of(&routes[i]);

        if (!operation)
            fail_msg("%s %s is not in the document", routes[i].method, routes[i].pattern);
        assert_string_equal(text(operation, "summary"), routes[i].summary);
        assert_string_equal(text(operation, "x-scope"), scopes[routes[i].scope]);
    }
}

static bool has_route(const char *method, const char *path)
{
    for (size_t i = 0; i < n_routes; i++) {
        char pattern[128];

        path_of(&routes[i], pattern, sizeof pattern);
        if (strcasecmp(routes[i].method, method) == 0 && strcmp(pattern, path) == 0)
            return true;
    }
    return false;
}

static void nothing_else_is_described(void **state)
{
    const char *path, *method;
    json_t *item, *operation;

    (void)state;
    json_object_foreach (json_object_get(document, "paths"), path, item) {
        json_object_foreach (item, method, operation) {
            if (!has_route(method, path))
                fail_msg("there is no route %s %s", method, path);
        }
    }
}

/* ---- settings of a job ---- */

static const json_t *schema_of(const char *method, const char *setting)
{
    char name[64];
    const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");

    snprintf(name, sizeof name, "Hyperparameters%s", method);
    return json_object_get(json_object_get(json_object_get(schemas, name), "properties"), setting);
}

static double number(const json_t *schema, const char *member)
{
    const json_t *value = json_object_get(schema, member);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void check_choices(const struct pl_setting *setting, const json_t *schema)
{
    const json_t *words = json_object_get(schema, "enum");
    size_t n = 0;

    for (; setting->choices[n].word; n++)
        assert_string_equal(json_string_value(json_array_get(words, n)), setting->choices[n].word);
    assert_int_equal(json_array_size(words), n);
}

/* Each has a schema, and beside it the word "auto". */
static void check_setting(const struct pl_setting *setting, const json_t *described)
{
    static const char *const types[] = {"integer", "number", "number", "boolean", "", "array", ""};
    const json_t *any_of = json_object_get(described, "anyOf");
    const json_t *schema = json_array_get(any_of, 0);

    assert_string_equal(text(described, "description"), setting->help);
    assert_string_equal(text(json_array_get(any_of, json_array_size(any_of) - 1), "const"), "auto");
    if (*types[setting->kind])
        assert_string_equal(text(schema, "type"), types[setting->kind]);
    if (setting->kind == PL_SETTING_CHOICE)
        check_choices(setting, schema);
    if (setting->kind == PL_SETTING_INTEGER || setting->kind == PL_SETTING_NUMBER) {
        assert_true(number(schema, "minimum") == setting->min);
        assert_true(number(schema, "maximum") == setting->max);
        assert_true(number(described, "default") == setting->standard);
    }
}

static void settings_of_a_job_have_their_ranges_and_defaults(void **state)
{
    static const struct {
        const char *name;
        unsigned bit;
    } methods[] = {{"Prilora", PL_IN_PRILORA},
                   {"Lora", PL_IN_LORA},
                   {"Head", PL_IN_HEAD},
                   {"Supervised", PL_IN_SUPERVISED}};

    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        for (size_t i = 0; i < pl_n_settings; i++) {
            const json_t *described = schema_of(methods[m].name, pl_settings[i].name);

            if ((described != NULL) != ((pl_settings[i].methods & methods[m].bit) != 0))
                fail_msg("%s: is it a setting of %s?", pl_settings[i].name, methods[m].name);
            if (described)
                check_setting(&pl_settings[i], described);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(nothing_else_is_described),
        cmocka_unit_test(settings_of_a_job_have_their_ranges_and_defaults),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
