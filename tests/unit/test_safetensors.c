/* test_safetensors.c - safetensors files, sharded ones, conversions to pl_real, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tensors.h"
#include "support/scratch.h"

/* A file with this header and `n_data` bytes 0, 1, 2, ... after it, parsed as "t". */
static enum prilora_status parse(struct pl_tensors **set, const char *header, size_t n_data,
                                 struct prilora_error *err)
{
    static unsigned char *bytes; /* one at a time, for the set points into it */
    size_t length = header ? strlen(header) : 0;
    uint64_t claimed = length;

    free(bytes);
    bytes = NULL;
    if (!set)
        return PRILORA_OK;
    bytes = malloc(8 + length + n_data);
    assert_non_null(bytes);
    memcpy(bytes, &claimed, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + length + i] = (unsigned char)i;
    return pl_tensors_parse_safetensors(set, bytes, 8 + length + n_data, "t", err);
}

static void refused(const char *header, size_t n_data, enum prilora_status status,
                    const char *message)
{
    struct prilora_error err = {0};
    struct pl_tensors *set = (void *)&err;

    assert_int_equal(parse(&set, header, n_data, &err), status);
    assert_null(set);
    assert_int_equal(err.status, status);
    assert_string_equal(err.message, message);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void a_file_is_read_as_it_says(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    const struct pl_tensor *t;
    char shape[64];

    (void)state;
    assert_int_equal(
        parse(&set,
              "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[1,25]},"
              "\"__metadata__\":{\"format\":\"pt\"},"
              "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
              "\"empty\":{\"dtype\":\"I64\",\"shape\":[4,0],\"data_offsets\":[25,25]},"
              "\"scalar\":{\"dtype\":\"I16\",\"shape\":[],\"data_offsets\":[25,27]}}   ",
              27, &err),
        PRILORA_OK);
    assert_int_equal(pl_tensors_count(set), 4);
    assert_string_equal(pl_tensors_at(set, 0)->name, "a");
    assert_string_equal(pl_tensors_at(set, 3)->name, "scalar");
    t = pl_tensors_find(set, "b");
    assert_int_equal(t->dtype, PL_F32);
    assert_int_equal(t->n_elements, 6);
    assert_int_equal(*(const unsigned char *)t->data, 1);
    assert_string_equal(pl_tensor_shape(t, shape, sizeof shape), "[2, 3]");
    assert_string_equal(pl_tensor_shape(t, shape, 4), "[2,");
    t = pl_tensors_find(set, "scalar");
    assert_int_equal(t->n_elements, 1);
    assert_int_equal(*(const unsigned char *)t->data, 25);
    assert_string_equal(pl_tensor_shape(t, shape, sizeof shape), "[]");
    assert_int_equal(pl_tensors_find(set, "empty")->n_elements, 0);
    assert_null(pl_tensors_find(set, "c"));
    pl_tensors_close(set);
    parse(NULL, NULL, 0, NULL);
}

static void the_reference_models_are_readable(void **state)
{
    static const struct {
        const char *path, *name, *shape;
        size_t n;
    } models[] = {
        {"tests/golden/models/tiny-bert", "bert.embeddings.word_embeddings.weight", "[320, 64]", 0},
        {"tests/golden/models/tiny-deberta", "deberta.embeddings.word_embeddings.weight",
         "[320, 64]", 0},
        {"tests/golden/models/tiny-roberta", "roberta.embeddings.word_embeddings.weight",
         "[320, 64]", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct prilora_error err = {0};
        struct pl_tensors *set;
        const struct pl_tensor *t;
        char shape[64];
        size_t mapped, resident;

        assert_int_equal(pl_tensors_open_folder(&set, models[i].path, &err), PRILORA_OK);
        t = pl_tensors_find(set, models[i].name);
        assert_non_null(t);
        assert_string_equal(pl_tensor_shape(t, shape, sizeof shape), models[i].shape);
        pl_tensors_memory(set, &mapped, &resident);
        assert_true(mapped > t->n_elements * 4);
        assert_true(resident < 64 << 10);
        pl_tensors_close(set);
    }
}

static void round_trip(void **state)
{
    float x[3] = {1.5f, -2.0f, 0.25f};
    unsigned char y[2] = {7, 9};
    struct pl_tensor tensors[] = {
        {.name = "y", .dtype = PL_U8, .n_dims = 1, .dims = {2}, .n_elements = 2, .data = y},
        {.name = "x", .dtype = PL_F32, .n_dims = 2, .dims = {3, 1}, .n_elements = 3, .data = x},
    };
    struct prilora_error err = {0};
    struct pl_tensors *set;
    pl_real got[3];
    const char *path = test_scratch_path("rt.safetensors");

    (void)state;
    assert_int_equal(pl_safetensors_write(path, tensors, 2, "{\"by\":\"test\"}", &err), PRILORA_OK);
    assert_int_equal(pl_tensors_open_safetensors(&set, path, &err), PRILORA_OK);
    pl_tensor_read(pl_tensors_find(set, "x"), got, 0, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(got[i] == (pl_real)x[i]);
    assert_memory_equal(pl_tensors_find(set, "y")->data, y, 2);
    pl_tensors_close(set);
}

static void holes_and_overlaps_are_refused(void **state)
{
    (void)state;
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
            7, PRILORA_EFORMAT, "t: tensors 'a' and 'b' overlap");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_as_it_says),
        cmocka_unit_test(the_reference_models_are_readable),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(holes_and_overlaps_are_refused),
    };

    return cmocka_run_group_tests_name("safetensors", tests, test_scratch_open, test_scratch_close);
}
