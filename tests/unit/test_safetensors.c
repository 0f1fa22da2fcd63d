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
    } models[] = {
        {"tests/golden/models/tiny-bert", "bert.embeddings.word_embeddings.weight", "[320, 64]"},
        {"tests/golden/models/tiny-deberta", "deberta.embeddings.word_embeddings.weight",
         "[320, 64]"},
        {"tests/golden/models/tiny-roberta", "roberta.embeddings.word_embeddings.weight",
         "[320, 64]"},
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

/* ---- what is refused ---------------------------------------------------------------------- */

/* One tensor "a" with these three members. */
#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void arrays_that_do_not_cover_the_file_are_refused(void **state)
{
    (void)state;
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
            7, PRILORA_EFORMAT, "t: tensors 'a' and 'b' overlap");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
            4, PRILORA_EFORMAT, "t: tensors 'a' and 'b' overlap");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
            9, PRILORA_EFORMAT, "t: 1 bytes before tensor 'b' belong to none");
    refused(ONE("\"U8\"", "[4]", "[0,4]"), 6, PRILORA_EFORMAT,
            "t: the last 2 bytes belong to no tensor");
    refused("{}", 1, PRILORA_EFORMAT, "t: the last 1 bytes belong to no tensor");
}

static void spans_and_shapes_must_agree(void **state)
{
    (void)state;
    refused(ONE("\"F32\"", "[3]", "[0,8]"), 8, PRILORA_EFORMAT,
            "t: tensor 'a' is F32[3] but spans 8 bytes");
    refused(ONE("\"F32\"", "[4611686018427387904,4]", "[0,0]"), 0, PRILORA_EFORMAT,
            "t: tensor 'a' is F32[4611686018427387904, 4] but spans 0 bytes");
    refused(ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, PRILORA_EFORMAT,
            "t: tensor 'a' is F32[4611686018427387904] but spans 0 bytes");
    refused(ONE("\"F32\"", "[2]", "[8,0]"), 8, PRILORA_EFORMAT,
            "t: tensor 'a' spans bytes 8 to 0 of 8 bytes of data");
    refused(ONE("\"F32\"", "[2]", "[0,9223372036854775807]"), 8, PRILORA_EFORMAT,
            "t: tensor 'a' spans bytes 0 to 9223372036854775807 of 8 bytes of data");
}

static void members_of_an_entry_are_checked(void **state)
{
    (void)state;
    refused(ONE("\"F8_E4M3\"", "[2]", "[0,2]"), 2, PRILORA_EUNSUPPORTED,
            "t: tensor 'a' has dtype 'F8_E4M3'; supported are F32, F16, BF16, F64, I64, I32, I16, "
            "I8, U8 and BOOL");
    refused(ONE("4", "[2]", "[0,2]"), 2, PRILORA_EFORMAT, "t: tensor 'a' has no dtype");
    refused(ONE("\"U8\"", "2", "[0,2]"), 2, PRILORA_EFORMAT, "t: tensor 'a' has no shape");
    refused(ONE("\"U8\"", "[-2]", "[0,2]"), 2, PRILORA_EFORMAT,
            "t: dimension 0 of tensor 'a' is not a count");
    refused(ONE("\"U8\"", "[1,2.0]", "[0,2]"), 2, PRILORA_EFORMAT,
            "t: dimension 1 of tensor 'a' is not a count");
    refused(ONE("\"U8\"", "[1,1,1,1,1,1,1,1,2]", "[0,2]"), 2, PRILORA_ELIMIT,
            "t: tensor 'a' has 9 dimensions, but at most 8 are read");
    refused(ONE("\"U8\"", "[2]", "[0,1,2]"), 2, PRILORA_EFORMAT,
            "t: tensor 'a' has no data_offsets of two counts");
    refused(ONE("\"U8\"", "[2]", "[0,-2]"), 2, PRILORA_EFORMAT,
            "t: tensor 'a' has no data_offsets of two counts");
    refused("{\"a\":[]}", 0, PRILORA_EFORMAT, "t: tensor 'a' is not described by an object");
    refused("{\"__metadata__\":[]}", 0, PRILORA_EFORMAT, "t: __metadata__ is not an object");
    refused("{\"__metadata__\":{\"epoch\":1}}", 0, PRILORA_EFORMAT,
            "t: 'epoch' in __metadata__ is not a string");
}

static void headers_that_are_not_json_objects_are_refused(void **state)
{
    (void)state;
    refused("[]", 0, PRILORA_EFORMAT, "t: the header does not begin with '{'");
    refused("", 0, PRILORA_EFORMAT, "t: the header does not begin with '{'");
    refused("{} x", 0, PRILORA_EFORMAT, "t: header, byte 4: end of file expected near 'x'");
    refused("{\"a\":1,\"a\":2}", 0, PRILORA_EFORMAT,
            "t: header, byte 10: duplicate object key near '\"a\"'");
}

static void a_lying_header_length_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } files[] = {
        {"", 0, "t: 0 bytes are too few for a safetensors file"},
        {"\2\0\0\0\0\0\0", 7, "t: 7 bytes are too few for a safetensors file"},
        {"\3\0\0\0\0\0\0\0{}", 10, "t: the header claims 3 bytes, but 2 follow its length"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
         "t: the header claims 18446744073709551615 bytes, but 2 follow its length"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct prilora_error err = {0};
        struct pl_tensors *set;

        assert_int_equal(pl_tensors_parse_safetensors(&set, files[i].bytes, files[i].size, "t",
                                                      &err),
                         PRILORA_EFORMAT);
        assert_null(set);
        assert_string_equal(err.message, files[i].message);
    }
}

/* A real length, one above the format's limit, in a file with a hole of that size. */
static void a_header_above_the_limit_is_refused(void **state)
{
    uint64_t claimed = 100000001;
    const char *path = test_scratch_write("huge", &claimed, sizeof claimed);
    struct prilora_error err = {0};
    struct pl_tensors *set;

    (void)state;
    assert_int_equal(truncate(path, 8 + 100000001), 0);
    assert_int_equal(pl_tensors_open_safetensors(&set, path, &err), PRILORA_ELIMIT);
    assert_string_equal(err.message + strlen(path),
                        ": the header has 100000001 bytes, but at most 100000000 are read");
    unlink(path);
}

static void a_folder_without_weights_is_refused(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;

    (void)state;
    assert_int_equal(pl_tensors_open_folder(&set, "tests/unit", &err), PRILORA_ENOENT);
    assert_null(set);
    assert_string_equal(err.message, "tests/unit: no model.safetensors, "
                                     "model.safetensors.index.json or pytorch_model.bin");
}

/* ---- conversion --------------------------------------------------------------------------- */

/* IEEE 754, section 3.4, for a binary format of this many exponent and fraction bits. */
static double by_definition(unsigned bits, int exponent_bits, int fraction_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    int fraction = (int)bits & ((1 << fraction_bits) - 1);
    double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;

    if (exponent == (1 << exponent_bits) - 1)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

static void check_all_16_bit_numbers(enum pl_dtype dtype, int exponent_bits, int fraction_bits)
{
    static unsigned char bytes[1 + 2 * 65536]; /* read at an odd address */
    static pl_real numbers[65536];
    struct pl_tensor tensor = {
        .dtype = dtype, .n_dims = 1, .dims = {65536}, .n_elements = 65536, .data = bytes + 1};

    for (unsigned i = 0; i < 65536; i++) {
        bytes[1 + 2 * i] = (unsigned char)(i & 255);
        bytes[2 + 2 * i] = (unsigned char)(i >> 8);
    }
    pl_tensor_read(&tensor, numbers, 0, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        double expected = by_definition(i, exponent_bits, fraction_bits);

        if (isnan(expected))
            assert_true(isnan(numbers[i]));
        else /* exact, the sign of zero too */
            assert_true((double)numbers[i] == expected &&
                        !signbit(numbers[i]) == !signbit(expected));
    }
    pl_tensor_read(&tensor, numbers, 0x3c00, 1);
    assert_true((double)numbers[0] == by_definition(0x3c00, exponent_bits, fraction_bits));
}

static void every_half_is_what_the_standard_says(void **state)
{
    (void)state;
    check_all_16_bit_numbers(PL_F16, 5, 10);
}

static void every_bfloat_is_what_the_standard_says(void **state)
{
    (void)state;
    check_all_16_bit_numbers(PL_BF16, 8, 7);
}

static void wider_numbers_are_read_at_any_address(void **state)
{
    static const float singles[] = {1.5f, -0.1f, 1e-40f};
    static const double doubles[] = {1.5, 0.1, -1e300};
    char bytes[1 + sizeof doubles];
    struct pl_tensor tensor = {.n_dims = 1, .dims = {3}, .n_elements = 3, .data = bytes + 1};
    pl_real numbers[3];

    (void)state;
    memcpy(bytes + 1, singles, sizeof singles);
    tensor.dtype = PL_F32;
    pl_tensor_read(&tensor, numbers, 0, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(numbers[i] == (pl_real)singles[i]);
    memcpy(bytes + 1, doubles, sizeof doubles);
    tensor.dtype = PL_F64;
    pl_tensor_read(&tensor, numbers, 1, 2);
    assert_true(numbers[0] == (pl_real)doubles[1]);
    assert_true(numbers[1] == (pl_real)doubles[2]);
}

/* ---- shards ------------------------------------------------------------------------------- */

/* Shards "one" with a and b, "two" with c; an index with this weight map. */
static enum prilora_status open_shards(struct pl_tensors **set, const char *weight_map,
                                       struct prilora_error *err)
{
    static const float x[3] = {1, 2, 3};
    struct pl_tensor tensors[] = {
        {.name = "a", .dtype = PL_F32, .n_dims = 1, .dims = {1}, .n_elements = 1, .data = x},
        {.name = "b", .dtype = PL_F32, .n_dims = 1, .dims = {1}, .n_elements = 1, .data = x + 1},
        {.name = "c", .dtype = PL_F32, .n_dims = 1, .dims = {1}, .n_elements = 1, .data = x + 2},
    };
    char index[1024];
    int n = snprintf(index, sizeof index, "{\"metadata\":{\"total_size\":12},\"weight_map\":%s}",
                     weight_map);

    assert_int_equal(pl_safetensors_write(test_scratch_path("one"), tensors, 2, NULL, err),
                     PRILORA_OK);
    assert_int_equal(pl_safetensors_write(test_scratch_path("two"), tensors + 2, 1, NULL, err),
                     PRILORA_OK);
    return pl_tensors_open_index(set, test_scratch_write("index.json", index, (size_t)n), err);
}

static void shards_are_one_set(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    pl_real number;

    (void)state;
    assert_int_equal(open_shards(&set, "{\"a\":\"one\",\"c\":\"two\",\"b\":\"one\"}", &err),
                     PRILORA_OK);
    assert_int_equal(pl_tensors_count(set), 3);
    for (size_t i = 0; i < 3; i++) {
        pl_tensor_read(pl_tensors_at(set, i), &number, 0, 1);
        assert_true(number == (pl_real)(i + 1));
    }
    pl_tensors_close(set);
}

static void shards_refused(const char *weight_map, enum prilora_status status, const char *message)
{
    struct prilora_error err = {0};
    struct pl_tensors *set = (void *)&err;

    assert_int_equal(open_shards(&set, weight_map, &err), status);
    assert_null(set);
    assert_string_equal(err.message + strlen(test_scratch_path("index.json")), message);
}

static void a_wrong_index_is_refused(void **state)
{
    (void)state;
    shards_refused("{\"a\":\"../one\"}", PRILORA_EFORMAT,
                   ": tensor 'a' is said to be in '../one', which is not the plain name of a file");
    shards_refused("{\"a\":\"/etc/passwd\"}", PRILORA_EFORMAT,
                   ": tensor 'a' is said to be in '/etc/passwd', which is not the plain name of a "
                   "file");
    shards_refused("{\"a\":\"..\"}", PRILORA_EFORMAT,
                   ": tensor 'a' is said to be in '..', which is not the plain name of a file");
    shards_refused("{\"a\":\"\"}", PRILORA_EFORMAT,
                   ": tensor 'a' is said to be in '', which is not the plain name of a file");
    shards_refused("{\"a\":1}", PRILORA_EFORMAT,
                   ": tensor 'a' is said to be in '(not a string)', which is not the plain name of "
                   "a file");
    shards_refused("{\"a\":\"three\"}", PRILORA_EFORMAT, ": its file 'three' is missing");
    shards_refused("{\"d\":\"one\"}", PRILORA_EFORMAT, ": tensor 'd' is not in 'one'");
    shards_refused("{\"a\":\"one\",\"b\":\"two\"}", PRILORA_EFORMAT,
                   ": tensor 'b' is not in 'two'");
    shards_refused("[]", PRILORA_EFORMAT, ": no weight_map");
    shards_refused("{", PRILORA_EFORMAT, ": line 1: '}' expected near end of file");
}

static void a_name_in_two_shards_is_refused(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    size_t size;
    char *one;

    (void)state;
    assert_int_equal(open_shards(&set, "{}", &err), PRILORA_OK);
    assert_int_equal(pl_tensors_count(set), 0);
    pl_tensors_close(set);
    one = test_file(test_scratch_path("one"), &size);
    test_scratch_write("again", one, size);
    free(one);
    shards_refused("{\"a\":\"one\",\"b\":\"again\"}", PRILORA_EFORMAT,
                   ": two tensors are named 'a'");
}

/* ---- writing ------------------------------------------------------------------------------ */

static void what_is_written_is_exactly_this(void **state)
{
    static const float x[3] = {1.5f, -2.0f, 0.25f};
    static const unsigned char y[3] = {7, 8, 9};
    struct pl_tensor tensors[] = {
        {.name = "y", .dtype = PL_U8, .n_dims = 1, .dims = {3}, .n_elements = 3, .data = y},
        {.name = "x", .dtype = PL_F32, .n_dims = 2, .dims = {3, 1}, .n_elements = 3, .data = x},
        {.name = "none", .dtype = PL_F16, .n_dims = 1, .dims = {0}, .n_elements = 0},
    };
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"by\":\"test\"},"
        "\"y\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
        "\"x\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[3,15]},"
        "\"none\":{\"dtype\":\"F16\",\"shape\":[0],\"data_offsets\":[15,15]}}";
    const char *path = test_scratch_path("written.safetensors");
    struct prilora_error err = {0};
    struct pl_tensors *set;
    uint64_t length;
    pl_real got[3];
    size_t size;
    char *file;

    (void)state;
    assert_int_equal(pl_safetensors_write(path, tensors, 3, "{\"by\":\"test\"}", &err), PRILORA_OK);
    file = test_file(path, &size);
    memcpy(&length, file, 8);
    assert_int_equal(length % 8, 0);
    assert_true(length >= strlen(header) && length < strlen(header) + 8);
    assert_memory_equal(file + 8, header, strlen(header));
    for (size_t i = 8 + strlen(header); i < 8 + length; i++)
        assert_int_equal(file[i], ' ');
    assert_int_equal(size, 8 + length + 15);
    assert_memory_equal(file + 8 + length, y, 3);
    assert_memory_equal(file + 8 + length + 3, x, 12);
    free(file);
    assert_int_equal(pl_tensors_open_safetensors(&set, path, &err), PRILORA_OK);
    pl_tensor_read(pl_tensors_find(set, "x"), got, 0, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(got[i] == (pl_real)x[i]);
    pl_tensors_close(set);
}

/* The writer's output for the arrays of a reference model is the same arrays. */
static void a_reference_model_survives_a_round_trip(void **state)
{
    const char *path = test_scratch_path("copy.safetensors");
    struct pl_tensors *from, *to;
    struct prilora_error err = {0};
    struct pl_tensor list[256];
    size_t n;

    (void)state;
    assert_int_equal(pl_tensors_open_folder(&from, "tests/golden/models/tiny-deberta", &err),
                     PRILORA_OK);
    n = pl_tensors_count(from);
    assert_true(n > 40 && n <= 256);
    for (size_t i = 0; i < n; i++)
        list[i] = *pl_tensors_at(from, n - 1 - i);
    assert_int_equal(pl_safetensors_write(path, list, n, NULL, &err), PRILORA_OK);
    assert_int_equal(pl_tensors_open_safetensors(&to, path, &err), PRILORA_OK);
    assert_int_equal(pl_tensors_count(to), n);
    for (size_t i = 0; i < n; i++) {
        const struct pl_tensor *a = pl_tensors_at(from, i), *b = pl_tensors_at(to, i);

        assert_string_equal(a->name, b->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->n_dims, b->n_dims);
        assert_memory_equal(a->dims, b->dims, a->n_dims * sizeof *a->dims);
        assert_memory_equal(a->data, b->data, a->n_elements * pl_dtype_size(a->dtype));
    }
    pl_tensors_close(from);
    pl_tensors_close(to);
}

static void write_refused(const char *first, const char *second, const char *metadata,
                          const char *message)
{
    struct pl_tensor tensors[] = {{.name = first, .n_dims = 1}, {.name = second, .n_dims = 1}};
    const char *path = test_scratch_path("refused.safetensors");
    struct prilora_error err = {0};

    assert_int_equal(pl_safetensors_write(path, tensors, 2, metadata, &err), PRILORA_EINVAL);
    assert_string_equal(err.message + strlen(path), message);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_the_format_cannot_hold_is_not_written(void **state)
{
    (void)state;
    write_refused("a", "a", NULL, ": the name 'a' is taken");
    write_refused("a", "__metadata__", NULL, ": the name '__metadata__' is taken");
    write_refused("a", "\xff", NULL, ": cannot describe a tensor named '?'");
    write_refused("a", "b", "[]", ": the metadata is not a JSON object");
    write_refused("a", "b", "{", ": the metadata is not a JSON object");
    write_refused("a", "b", "{\"k\":1}", ": 'k' in the metadata is not a string");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_as_it_says),
        cmocka_unit_test(the_reference_models_are_readable),
        cmocka_unit_test(arrays_that_do_not_cover_the_file_are_refused),
        cmocka_unit_test(spans_and_shapes_must_agree),
        cmocka_unit_test(members_of_an_entry_are_checked),
        cmocka_unit_test(headers_that_are_not_json_objects_are_refused),
        cmocka_unit_test(a_lying_header_length_is_refused),
        cmocka_unit_test(a_header_above_the_limit_is_refused),
        cmocka_unit_test(a_folder_without_weights_is_refused),
        cmocka_unit_test(every_half_is_what_the_standard_says),
        cmocka_unit_test(every_bfloat_is_what_the_standard_says),
        cmocka_unit_test(wider_numbers_are_read_at_any_address),
        cmocka_unit_test(shards_are_one_set),
        cmocka_unit_test(a_wrong_index_is_refused),
        cmocka_unit_test(a_name_in_two_shards_is_refused),
        cmocka_unit_test(what_is_written_is_exactly_this),
        cmocka_unit_test(a_reference_model_survives_a_round_trip),
        cmocka_unit_test(what_the_format_cannot_hold_is_not_written),
    };

    return cmocka_run_group_tests_name("safetensors", tests, test_scratch_open, test_scratch_close);
}
