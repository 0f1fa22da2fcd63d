/* test_spm_nest.c - models that the SentencePiece library would read beyond its own arrays for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/changed.h"
#include "support/scratch.h"
#include "tok/spm_nest.h"
#include "tok/tokenizer.h"

/* ---- symbols ------------------------------------------------------------------------------ */

static struct pl_spm_symbol symbol(const char *text)
{
    return (struct pl_spm_symbol){(const unsigned char *)text, strlen(text)};
}

static void symbols_are_counted_along_their_beginnings(void **state)
{
    struct pl_spm_symbol apart[] = {symbol("a"), symbol("b"), symbol("c")};
    struct pl_spm_symbol mixed[] = {symbol("abc"), symbol("b"),  symbol("a"),
                                    symbol("abd"), symbol("ab"), symbol("a")};

    (void)state;
    assert_int_equal(pl_spm_nested_symbols(NULL, 0), 0);
    assert_int_equal(pl_spm_nested_symbols(apart, 3), 1);
    assert_int_equal(pl_spm_nested_symbols(mixed, 6), 3);
}

/* The small base's model with n user-defined pieces: "QQ", "QQQ", ... {piece = 1, type = 3} */
static enum prilora_status open_nested(const char *name, size_t n, struct pl_tokenizer **t,
                                       struct prilora_error *err)
{
    char *more = calloc(n, n + 7), *at = more;
    const char *folder;

    assert_non_null(more);
    for (size_t i = 2; i < n + 2; i++) {
        const unsigned char head[] = {0x0A, (unsigned char)(i + 4), 0x0A, (unsigned char)i};

        memcpy(at, head, 4);
        memset(at + 4, 'Q', i);
        memcpy(at + 4 + i, "\x18\x04", 2);
        at += i + 6;
    }
    folder = changed_folder(name, MINI "/spm.model", "spm.model", more, (size_t)(at - more));
    free(more);
    return pl_tokenizer_open(t, folder, err);
}

static void as_many_symbols_as_the_library_has_room_for_are_read(void **state)
{
    const size_t most = PL_SPM_MAX_NESTED_SYMBOLS;
    struct prilora_error err = {0};
    struct pl_ids ids = {0};
    struct pl_tokenizer *t = NULL;
    char text[300];

    (void)state;
    memset(text, 'Q', sizeof text);
    assert_int_equal(open_nested("room", most, &t, &err), PRILORA_OK);
    assert_int_equal(pl_tokenizer_encode_bare(t, &ids, text, sizeof text, &err), PRILORA_OK);
    assert_int_equal(ids.n, 1 + (sizeof text + most) / (most + 1)); /* a space first */
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
    assert_int_equal(open_nested("none", most + 1, &t, &err), PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "more than 64 user-defined pieces"));
}

/* ---- rules -------------------------------------------------------------------------------- */

static void put_unit(unsigned char *units, size_t i, uint32_t unit)
{
    for (int k = 0; k < 4; k++)
        units[4 * i + (size_t)k] = (unsigned char)(unit >> 8 * k);
}

/*
 * A trie of "a", "aa", ... of n bytes, each of the last n_rules a rule: level k has its children in
 * block k + 1 of 256 units.
 */
static unsigned char *chain(size_t n, size_t n_rules, size_t *n_units)
{
    unsigned char *units;

    *n_units = 256 * (n + 2);
    units = calloc(*n_units, 4);
    assert_non_null(units);
    for (size_t k = 0; k <= n; k++) {
        const size_t i = k ? 256 * k ^ 'a' : 0, children = 256 * (k + 1);
        const uint32_t is_rule = k > n - n_rules;

        put_unit(units, i, (uint32_t)(i ^ children) << 10 | is_rule << 8 | (k ? 'a' : 0));
        put_unit(units, children, 0x80000000); /* so that no NUL leads on from here */
    }
    return units;
}

static enum prilora_status nested(size_t n, size_t n_rules)
{
    size_t n_units;
    unsigned char *units = chain(n, n_rules, &n_units);
    const enum prilora_status rc = pl_spm_nested_rules(units, n_units);

    free(units);
    return rc;
}

static void rules_nest_as_deep_as_the_library_has_room_for(void **state)
{
    (void)state;
    assert_int_equal(nested(1, 1), PRILORA_OK);
    assert_int_equal(nested(32, 32), PRILORA_OK);
    assert_int_equal(nested(200, 32), PRILORA_OK);
    assert_int_equal(nested(33, 33), PRILORA_ELIMIT);
    assert_int_equal(nested(PL_SPM_MAX_RULE, 1), PRILORA_OK);
    assert_int_equal(nested(PL_SPM_MAX_RULE + 1, 1), PRILORA_ELIMIT);
}

static void a_loop_is_refused(void **state)
{
    size_t n_units;
    unsigned char *units = chain(2, 1, &n_units);
    const size_t last = 512 ^ 'a';

    (void)state;
    put_unit(units, last, 'a' << 10 | 0x100 | 'a'); /* whose child is itself */
    assert_int_equal(pl_spm_nested_rules(units, n_units), PRILORA_ELIMIT);
    free(units);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_are_counted_along_their_beginnings),
        cmocka_unit_test(as_many_symbols_as_the_library_has_room_for_are_read),
        cmocka_unit_test(rules_nest_as_deep_as_the_library_has_room_for),
        cmocka_unit_test(a_loop_is_refused),
    };

    return cmocka_run_group_tests_name("spm_nest", tests, test_scratch_open, test_scratch_close);
}
