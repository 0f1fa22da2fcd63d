/* What a refusal says of trying again: clients do so by themselves, within these headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/respond.h"

static char path[] = "/v1/x", target[] = "/v1/x";

static const char *header(const struct request *r, const char *name)
{
    return MHD_get_response_header(r->answer.response, name);
}

static void check(struct request *r, const char *retry_after, const char *should_retry)
{
    const char *after = header(r, "Retry-After"), *should = header(r, "x-should-retry");

    assert_string_equal(after ? after : "", retry_after);
    assert_string_equal(should ? should : "", should_retry);
    MHD_destroy_response(r->answer.response);
    r->answer.response = NULL;
}

static void what_passes_says_when_and_what_does_not_says_never(void **state)
{
    static const struct {
        unsigned status;
        const char *retry_after, *should_retry;
    } rows[] = {
        {400, "", ""},      {401, "", ""},      {403, "", ""},  {404, "", ""},
        {409, "", "false"}, {413, "", ""},      {422, "", ""},  {429, "5", ""},
        {500, "", ""},      {507, "", "false"}, {503, "2", ""},
    };
    struct request r = {.path = path, .target = target};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        respond_error(&r, rows[i].status, "code", NULL, "message");
        assert_int_equal(r.answer.status, rows[i].status);
        check(&r, rows[i].retry_after, rows[i].should_retry);
    }
}

static void a_conflict_that_passes_may_be_tried_again(void **state)
{
    struct request r = {.path = path, .target = target};
    struct fault fault;

    (void)state;
    fault_set(&fault, 409, "busy", NULL, "busy");
    fault.retry_after_s = 7;
    respond_fault(&r, &fault);
    check(&r, "7", "");
    fault_set(&fault, 429, "quota", NULL, "quota");
    fault.retry_after_s = 30;
    respond_fault(&r, &fault);
    check(&r, "30", "");
}

static void want_of_memory_passes(void **state)
{
    struct request r = {.path = path, .target = target};
    struct prilora_error err = {.status = PRILORA_ENOMEM};

    (void)state;
    respond_internal(&r, &err);
    assert_int_equal(r.answer.status, 503);
    check(&r, "2", "");
    respond_json(&r, 200, NULL); /* the answer could not be made */
    assert_int_equal(r.answer.status, 503);
    check(&r, "2", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_says_when_and_what_does_not_says_never),
        cmocka_unit_test(a_conflict_that_passes_may_be_tried_again),
        cmocka_unit_test(want_of_memory_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
