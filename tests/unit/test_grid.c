/* test_grid.c - bodies of POST /v1/experiments: what is refused and where, and the jobs they give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/grid.h"

#define METHOD(name) "{\"name\":\"" name "\",\"method\":{\"type\":\"lora\"}}"
#define TASK(name)   "{\"name\":\"" name "\",\"training_file\":\"file-1\"}"
#define BODY(methods, tasks, more)                                                                 \
    "{\"model\":\"m\",\"methods\":[" methods "],\"tasks\":[" tasks "]" more "}"

static void bad_bodies_are_refused_at_their_place(void **state)
{
    static const struct {
        const char *body, *pointer, *part;
    } cases[] = {
        {"[]", "", "not a JSON object"},
        {"{}", "/methods", "methods is missing"},
        {BODY("", TASK("t"), ""), "/methods", "a list of 1 to 50 objects"},
        {BODY("7", TASK("t"), ""), "/methods/0", "7"},
        {BODY(METHOD("a") "," METHOD("a"), TASK("t"), ""), "/methods/1/name", "another name"},
        {BODY(METHOD("a,b"), TASK("t"), ""), "/methods/0/name", "a,b"},
        {BODY(METHOD("-a"), TASK("t"), ""), "/methods/0/name", "-a"},
        {BODY(METHOD("a|"), TASK("t"), ""), "/methods/0/name", "a|"},
        {BODY(METHOD(""), TASK("t"), ""), "/methods/0/name", "1 to 64"},
        {BODY(METHOD("a "), TASK("t"), ""), "/methods/0/name", "1 to 64"},
        {BODY("{\"name\":\"a\"}", TASK("t"), ""), "/methods/0/method", "missing"},
        {BODY("{\"name\":\"a\",\"method\":\"lora\"}", TASK("t"), ""), "/methods/0/method", "lora"},
        {BODY("{\"name\":\"a\",\"methode\":{}}", TASK("t"), ""), "/methods/0/methode",
         "did you mean \"method\""},
        {BODY(METHOD("a"), "", ""), "/tasks", "a list of 1 to 50 objects"},
        {BODY(METHOD("a"), TASK("t") ",{\"name\":\"u\",\"hyperparameters\":[]}", ""),
         "/tasks/1/hyperparameters", "[]"},
        {BODY(METHOD("a"), TASK("t") ",{\"training_file\":\"x\"}", ""), "/tasks/1/name", "missing"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":0"), "/seeds", "0"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":1001"), "/seeds", "1001"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":2.5"), "/seeds", "2.5"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":[]"), "/seeds", "[]"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":[1,2,1]"), "/seeds", "[1,2,1]"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":[1,-1]"), "/seeds", "-1"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":[99999999999]"), "/seeds", "99999999999"},
        {BODY(METHOD("a"), TASK("t"), ",\"seeds\":\"many\""), "/seeds", "many"},
        {BODY(METHOD("a"), TASK("t"), ",\"name\":\"\\u00e9\""), "/name", "letter"},
        {BODY(METHOD("a"), TASK("t"), ",\"method\":{}"), "/method", "unknown"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grid grid;
        struct fault fault = {0};

        if (grid_decode(cases[i].body, strlen(cases[i].body), &grid, &fault))
            fail_msg("%s was taken", cases[i].body);
        assert_int_equal(fault.status, 400);
        assert_string_equal(fault.pointer, cases[i].pointer);
        if (!strstr(fault.message, cases[i].part))
            fail_msg("%s: %s", cases[i].body, fault.message);
        grid_clear(&grid);
    }
}

static void too_many_cells_are_refused(void **state)
{
    char body[4000];
    size_t n = 0;
    struct grid grid;
    struct fault fault;

    (void)state;
    n += (size_t)snprintf(body, sizeof body,
                          "{\"model\":\"m\",\"seeds\":1000,\"tasks\":[%s],"
                          "\"methods\":[",
                          TASK("t"));
    for (int i = 0; i < 11; i++)
        n += (size_t)snprintf(body + n, sizeof body - n,
                              "%s{\"name\":\"m%d\",\"method\":{\"type\":\"lora\"}}", i ? "," : "",
                              i);
    n += (size_t)snprintf(body + n, sizeof body - n, "]}");
    assert_false(grid_decode(body, n, &grid, &fault));
    assert_string_equal(fault.code, "too_many_cells");
    assert_non_null(strstr(fault.message, "11000 jobs"));
    grid_clear(&grid);
}

static struct grid decode(const char *body)
{
    struct grid grid;
    struct fault fault;

    if (!grid_decode(body, strlen(body), &grid, &fault))
        fail_msg("%s", fault.message);
    return grid;
}

static void expect_job(const struct grid *grid, size_t method, size_t task, const char *expected)
{
    char *text = grid_job(grid, method, task);
    json_t *job = json_loads(text, 0, NULL), *other = json_loads(expected, 0, NULL);

    assert_non_null(other);
    if (!json_equal(job, other))
        fail_msg("%s", text);
    json_decref(job);
    json_decref(other);
    free(text);
}

static void a_method_wins_over_what_the_task_sets(void **state)
{
    struct grid grid = decode(
        "{\"model\":\"m\",\"name\":null,\"seeds\":[5,3],\"priority\":2,\"metadata\":{\"a\":\"b\"},"
        "\"methods\":[{\"name\":\"p\",\"method\":{\"type\":\"prilora\",\"prilora\":"
        "{\"hyperparameters\":{\"learning_rate\":1,\"rank_end\":9}}}},"
        "{\"name\":\"l\",\"method\":{\"type\":\"lora\"}}],"
        "\"tasks\":[{\"name\":\"t\",\"training_file\":\"f\",\"validation_file\":null,"
        "\"task\":\"cola\",\"hyperparameters\":{\"learning_rate\":2,\"n_epochs\":4}},"
        "{\"name\":\"u\",\"training_file\":\"g\",\"validation_file\":\"h\"}]}");

    (void)state;
    assert_int_equal(grid.n_seeds, 2);
    expect_job(&grid, 0, 0,
               "{\"model\":\"m\",\"priority\":2,\"metadata\":{\"a\":\"b\"},\"training_file\":\"f\","
               "\"task\":\"cola\",\"seed\":5,\"method\":{\"type\":\"prilora\",\"prilora\":"
               "{\"hyperparameters\":{\"learning_rate\":1,\"rank_end\":9,\"n_epochs\":4}}}}");
    expect_job(&grid, 1, 0,
               "{\"model\":\"m\",\"priority\":2,\"metadata\":{\"a\":\"b\"},\"training_file\":\"f\","
               "\"task\":\"cola\",\"seed\":5,\"method\":{\"type\":\"lora\",\"lora\":"
               "{\"hyperparameters\":{\"learning_rate\":2,\"n_epochs\":4}}}}");
    expect_job(&grid, 1, 1,
               "{\"model\":\"m\",\"priority\":2,\"metadata\":{\"a\":\"b\"},\"training_file\":\"g\","
               "\"validation_file\":\"h\",\"seed\":5,\"method\":{\"type\":\"lora\"}}");
    grid_clear(&grid);
}

static void seeds_are_counted_from_one(void **state)
{
    struct grid grid = decode(BODY(METHOD("a"), TASK("t"), ""));
    char *text = grid_text(&grid);
    json_t *object = json_loads(text, 0, NULL);

    (void)state;
    assert_int_equal(grid.n_seeds, GRID_SEEDS);
    assert_int_equal(json_array_size(json_object_get(object, "seeds")), GRID_SEEDS);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(object, "seeds"), 4)), 5);
    json_decref(object);
    free(text);
    grid_clear(&grid);
}

static void a_job_s_fault_is_placed_in_the_grid(void **state)
{
    static const struct {
        const char *pointer, *param, *placed, *dotted;
    } cases[] = {
        {"/method/prilora/hyperparameters/rank_end", "",
         "/methods/0/method/prilora/hyperparameters/rank_end",
         "methods.0.method.prilora.hyperparameters.rank_end"},
        {"/method/prilora/hyperparameters/n_epochs", "", "/tasks/1/hyperparameters/n_epochs",
         "tasks.1.hyperparameters.n_epochs"},
        {"/method/type", "", "/methods/0/method/type", "methods.0.method.type"},
        {"/task/metric", "", "/tasks/1/task/metric", "tasks.1.task.metric"},
        {"", "training_file", "/tasks/1/training_file", "tasks.1.training_file"},
        {"", "validation_file", "/tasks/1/validation_file", "tasks.1.validation_file"},
        {"/seed", "seed", "/seeds", "seeds"},
        {"/metadata", "metadata", "/metadata", "metadata"},
        {"", "model", "", "model"},
        {"", "", "", ""},
    };
    struct grid grid = decode(BODY(
        "{\"name\":\"p\",\"method\":{\"type\":\"prilora\",\"prilora\":{\"hyperparameters\":{\"rank_"
        "end\":-1}}}}",
        TASK("t") ",{\"name\":\"u\",\"training_file\":\"f\",\"hyperparameters\":{\"n_epochs\":-1,"
                  "\"rank_end\":3}}",
        ""));

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault = {.status = 400, .message = "wrong"};

        snprintf(fault.pointer, sizeof fault.pointer, "%s", cases[i].pointer);
        snprintf(fault.param, sizeof fault.param, "%s", cases[i].param);
        grid_place_fault(&grid, 0, 1, &fault);
        assert_string_equal(fault.pointer, cases[i].placed);
        assert_string_equal(fault.param, cases[i].dotted);
        assert_string_equal(fault.message, "wrong (method \"p\" on task \"u\")");
    }
    grid_clear(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_bodies_are_refused_at_their_place),
        cmocka_unit_test(too_many_cells_are_refused),
        cmocka_unit_test(a_method_wins_over_what_the_task_sets),
        cmocka_unit_test(seeds_are_counted_from_one),
        cmocka_unit_test(a_job_s_fault_is_placed_in_the_grid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
