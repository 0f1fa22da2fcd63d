/* Kept answers: whose they are, of which request, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/idempotency.h"
#include "support/scratch.h"
#include "support/state.h"

static const struct idempotency_claim mine = {"", "key", "request"};

static void keep(struct store *store, const struct idempotency_claim *claim, const char *answer)
{
    struct prilora_error err;

    assert_int_equal(idempotency_keep(store, claim, answer, &err), PRILORA_OK);
}

/* NULL: there is none. */
static void expect(struct store *store, const struct idempotency_claim *claim, const char *answer)
{
    struct prilora_error err;
    char *found;

    assert_int_equal(idempotency_find(store, claim, &found, &err), PRILORA_OK);
    if (answer)
        assert_string_equal(found, answer);
    else
        assert_null(found);
    free(found);
}

static void an_answer_is_its_callers_and_its_requests(void **state)
{
    const struct idempotency_claim theirs = {"key-2", "key", "other request"};
    const struct idempotency_claim reused = {"", "key", "other request"};
    struct prilora_error err;
    char *found;

    expect(*state, &mine, NULL);
    keep(*state, &mine, "{\"id\":1}");
    expect(*state, &mine, "{\"id\":1}");
    expect(*state, &theirs, NULL);
    keep(*state, &theirs, "{\"id\":2}");
    expect(*state, &mine, "{\"id\":1}");
    expect(*state, &theirs, "{\"id\":2}");
    assert_int_equal(idempotency_find(*state, &reused, &found, &err), PRILORA_EMISMATCH);
    assert_null(found);
}

static void age(struct store *store, int64_t seconds)
{
    assert_int_equal(store_run(store, NULL, "age", "UPDATE idempotency SET created_at = ?", "i",
                               store_now() - seconds),
                     PRILORA_OK);
}

static void an_answer_is_forgotten_after_a_day(void **state)
{
    const struct idempotency_claim other = {"", "key", "another"};
    struct prilora_error err;

    keep(*state, &mine, "{\"id\":1}");
    age(*state, 86000);
    assert_int_equal(idempotency_sweep(*state, &(struct sweep){0}, &err), PRILORA_OK);
    expect(*state, &mine, "{\"id\":1}");
    age(*state, 86400);
    expect(*state, &mine, NULL);
    keep(*state, &other, "{\"id\":2}"); /* before any sweep */
    expect(*state, &other, "{\"id\":2}");
    age(*state, 90000);
    assert_int_equal(idempotency_sweep(*state, &(struct sweep){0}, &err), PRILORA_OK);
    assert_int_equal(sqlite3_changes(store_db(*state, NULL)), 1);
}

#define with_store(f) cmocka_unit_test_setup_teardown(f, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(an_answer_is_its_callers_and_its_requests),
        with_store(an_answer_is_forgotten_after_a_day),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
