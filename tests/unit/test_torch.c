/* test_torch.c - PyTorch checkpoints: files that torch wrote, and every way to go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tensors.h"
#include "support/scratch.h"

#define FIXTURES "tests/golden/torch/"

static struct pl_tensors *open_file(enum prilora_status (*open)(struct pl_tensors **, const char *,
                                                                struct prilora_error *),
                                    const char *path)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;

    if (open(&set, path, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return set;
}

/* ---- files that torch wrote --------------------------------------------------------------- */

static void equals_expected(const char *path)
{
    struct pl_tensors *got = open_file(pl_tensors_open_torch, path);
    struct pl_tensors *expected =
        open_file(pl_tensors_open_safetensors, FIXTURES "expected.safetensors");

    assert_int_equal(pl_tensors_count(got), 21);
    assert_int_equal(pl_tensors_count(expected), 21);
    for (size_t i = 0; i < 21; i++) {
        const struct pl_tensor *a = pl_tensors_at(got, i), *b = pl_tensors_at(expected, i);

        assert_string_equal(a->name, b->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->n_dims, b->n_dims);
        for (size_t d = 0; d < a->n_dims; d++)
            assert_int_equal(a->dims[d], b->dims[d]);
        assert_int_equal(a->n_elements, b->n_elements);
        assert_memory_equal(a->data, b->data, a->n_elements * pl_dtype_size(a->dtype));
    }
    /* tied weights are one array */
    assert_ptr_equal(pl_tensors_find(got, "first.weight")->data,
                     pl_tensors_find(got, "second.weight")->data);
    pl_tensors_close(got);
    pl_tensors_close(expected);
}

static void the_zip_form_has_the_values_that_torch_saved(void **state)
{
    (void)state;
    equals_expected(FIXTURES "zip.bin");
}

static void the_plain_form_has_the_values_that_torch_saved(void **state)
{
    (void)state;
    equals_expected(FIXTURES "plain.bin");
}

static void a_long_state_dict_is_read(void **state)
{
    struct pl_tensors *set = open_file(pl_tensors_open_torch, FIXTURES "many-plain.bin");
    char name[64];

    (void)state;
    assert_int_equal(pl_tensors_count(set), 300);
    for (size_t i = 0; i < 300; i++) {
        int16_t value;

        snprintf(name, sizeof name, "layer.%zu.weight", i);
        assert_non_null(pl_tensors_find(set, name));
        memcpy(&value, pl_tensors_find(set, name)->data, sizeof value);
        assert_int_equal(value, i);
    }
    pl_tensors_close(set);
}

/* Only what stands out of order in its storage is copied. */
static void the_plain_form_stays_in_the_file(void **state)
{
    struct pl_tensors *set = open_file(pl_tensors_open_torch, FIXTURES "many-plain.bin");
    size_t mapped, resident, size;
    char *file = test_file(FIXTURES "many-plain.bin", &size);

    (void)state;
    pl_tensors_memory(set, &mapped, &resident);
    assert_int_equal(mapped, size);
    /* 512 entries of about 200 bytes and the names; no block for the 600 bytes of numbers */
    assert_true(resident < 512 * 200 + 300 * 20);
    free(file);
    pl_tensors_close(set);
}

static void a_folder_with_pytorch_model_bin_opens(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    size_t size;
    char *file = test_file(FIXTURES "zip.bin", &size), folder[1024];
    const char *path = test_scratch_write("pytorch_model.bin", file, size);

    (void)state;
    free(file);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(pl_tensors_open_folder(&set, folder, &err), PRILORA_OK);
    assert_int_equal(pl_tensors_count(set), 21);
    pl_tensors_close(set);
    unlink(path);
}

/* ---- files that torch wrote and that are refused ------------------------------------------ */

static void refused_file(const char *name, enum prilora_status status, const char *message)
{
    struct prilora_error err = {0};
    struct pl_tensors *set = (void *)&err;
    char path[256];

    snprintf(path, sizeof path, FIXTURES "%s", name);
    assert_int_equal(pl_tensors_open_torch(&set, path, &err), status);
    assert_null(set);
    assert_string_equal(err.message + strlen(path), message);
}

static void a_pickle_that_would_run_a_command_is_refused(void **state)
{
    (void)state;
    refused_file("evil-zip.bin", PRILORA_EUNSUPPORTED,
                 ": pickle, byte 13: the global 'posix.system' is not one that a checkpoint needs");
    refused_file("evil-plain.bin", PRILORA_EUNSUPPORTED,
                 ": pickle, byte 13: the global 'posix.system' is not one that a checkpoint needs");
    assert_int_equal(access("/tmp/evil-pickle-was-run", F_OK), -1);
}

static void what_is_no_plain_state_dict_is_refused(void **state)
{
    (void)state;
    refused_file("nested.bin", PRILORA_EFORMAT, ": 'model' is a dict, not a tensor");
    refused_file("protocol4.bin", PRILORA_EUNSUPPORTED,
                 ": pickle, byte 2: opcode FRAME is not supported");
    refused_file("compressed.bin", PRILORA_EUNSUPPORTED,
                 ": entry 'zip/data.pkl' is compressed, which torch.save never does");
    refused_file("README.md", PRILORA_EFORMAT, ": not a file that torch.save wrote");
}

/* Every prefix of a real file ends in an error, and reads nothing outside it (ASan). */
static void every_shorter_file_is_refused(void **state)
{
    static const char *const names[] = {FIXTURES "plain.bin", FIXTURES "zip.bin"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        char *file = test_file(names[i], &size);

        for (size_t length = 0; length < size; length++) {
            struct pl_tensors *set;
            char *exact = malloc(length ? length : 1);

            assert_non_null(exact);
            memcpy(exact, file, length);
            assert_int_not_equal(pl_tensors_parse_torch(&set, exact, length, "t", NULL),
                                 PRILORA_OK);
            assert_null(set);
            free(exact);
        }
        free(file);
    }
}

/* Replaces the only occurrence of a text in a file's bytes. */
static void replace(char *file, size_t size, const char *from, const char *to)
{
    char *at = memmem(file, size, from, strlen(from));

    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

static void a_damaged_array_in_a_zip_is_noticed(void **state)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    size_t size;
    char *file = test_file(FIXTURES "nested.bin", &size);

    (void)state;
    replace(file, size, "epoch", "Epoch");
    assert_int_equal(pl_tensors_parse_torch(&set, file, size, "t", &err), PRILORA_EFORMAT);
    assert_string_equal(err.message, "t: entry 'data.pkl': CRC error");
    free(file);
}

/* ---- pickles made by hand, in the plain form ---------------------------------------------- */

#define MAGIC    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define PROTOCOL "\x80\x02M\xe9\x03."
#define SYSTEM   "\x80\x02}U\x0dlittle_endian\x88s."
#define HEAD     MAGIC PROTOCOL SYSTEM

/* storage "k" of four floats; what follows: offset, size, stride */
#define VIEW                                                                                       \
    "ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\nU\1kU\3cpuK\4Ntq\x09Q"
#define KEYS "\x80\x02]U\1ka."
#define FOUR                                                                                       \
    "\4\0\0\0\0\0\0\0"                                                                             \
    "\0\0\x80\x3f"                                                                                 \
    "\0\0\0\x40"                                                                                   \
    "\0\0\x40\x40"                                                                                 \
    "\0\0\x80\x40"

/* Parses text of known size as "t". */
#define PARSE(set, text, err) pl_tensors_parse_torch(set, text, sizeof text - 1, "t", err)

#define REFUSED(text, status, expected)                                                            \
    do {                                                                                           \
        struct prilora_error err_ = {0};                                                           \
        struct pl_tensors *set_ = (void *)&err_;                                                   \
        assert_int_equal(PARSE(&set_, text, &err_), status);                                       \
        assert_null(set_);                                                                         \
        assert_string_equal(err_.message, expected);                                               \
    } while (0)

/* {"a": _rebuild_tensor_v2(storage, offset, size, stride, False, None)} */
#define ONE(offset, size, stride) HEAD "\x80\x02}U\1a" VIEW offset size stride "\x89NtRs." KEYS FOUR

static void read_view(const char *bytes, size_t size, const float *expected, size_t n)
{
    struct prilora_error err = {0};
    struct pl_tensors *set;
    pl_real got[8];

    if (pl_tensors_parse_torch(&set, bytes, size, "t", &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pl_tensors_find(set, "a")->n_elements, n);
    pl_tensor_read(pl_tensors_find(set, "a"), got, 0, n);
    for (size_t i = 0; i < n; i++)
        assert_true(got[i] == (pl_real)expected[i]);
    pl_tensors_close(set);
}

static void views_are_put_in_order(void **state)
{
    static const char whole[] = ONE("K\0", "K\2K\2\x86", "K\2K\1\x86"),
                      turned[] = ONE("K\0", "K\2K\2\x86", "K\1K\2\x86"),
                      tail[] = ONE("K\2", "K\2\x85", "K\1\x85"),
                      twice[] = ONE("K\3", "K\3\x85", "K\0\x85"),
                      none[] = ONE("K\4", "K\0\x85", "K\1\x85");

    (void)state;
    read_view(whole, sizeof whole - 1, (float[]){1, 2, 3, 4}, 4);
    read_view(turned, sizeof turned - 1, (float[]){1, 3, 2, 4}, 4);
    read_view(tail, sizeof tail - 1, (float[]){3, 4}, 2);
    read_view(twice, sizeof twice - 1, (float[]){4, 4, 4}, 3);
    read_view(none, sizeof none - 1, NULL, 0);
}

static void views_outside_their_storage_are_refused(void **state)
{
    (void)state;
    REFUSED(ONE("K\1", "K\4\x85", "K\1\x85"), PRILORA_EFORMAT,
            "t: tensor 'a' [4] does not lie within the 4 elements of its storage");
    REFUSED(ONE("K\5", "K\0\x85", "K\1\x85"), PRILORA_EFORMAT,
            "t: tensor 'a' [0] does not lie within the 4 elements of its storage");
    REFUSED(ONE("K\0", "K\2\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), PRILORA_EFORMAT,
            "t: tensor 'a' [2] does not lie within the 4 elements of its storage");
    REFUSED(ONE("K\0", "\x8a\x08\0\0\0\0\0\0\0\x40K\5\x86", "K\0K\0\x86"), PRILORA_EFORMAT,
            "t: tensor 'a' [4611686018427387904, 5] does not lie within the 4 elements of its "
            "storage");
    REFUSED(ONE("J\xff\xff\xff\xff", "K\1\x85", "K\1\x85"), PRILORA_EFORMAT,
            "t: pickle, byte 99: a tensor without storage, offset, size and stride");
    REFUSED(ONE("K\0", "K\1\x85", "K\1K\1\x86"), PRILORA_EFORMAT,
            "t: pickle, byte 98: a tensor with more or fewer strides than dimensions");
    REFUSED(ONE("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "K\1\x85"), PRILORA_ELIMIT,
            "t: pickle, byte 113: a tensor has more than 8 dimensions");
    /* four elements seen as 250 would be more than the whole file */
    REFUSED(ONE("K\0", "K\xfa\x85", "K\0\x85"), PRILORA_ELIMIT,
            "t: tensor 'a' [250] and others that do not stand in order in their storage are "
            "together larger than the file");
}

/* Python 2: OrderedDict([[key, value], ...]), and strings of bytes. */
static void what_python_2_wrote_is_read(void **state)
{
    static const char file[] =
        HEAD "\x80\x02"
             "ccollections\nOrderedDict\n](](U\1a" VIEW "K\1K\2\x85K\1\x85\x89"
             "ccollections\nOrderedDict\n]\x85R"
             "tRee\x85R"
             "}U\x09_metadata}sb." KEYS FOUR;

    (void)state;
    read_view(file, sizeof file - 1, (float[]){2, 3}, 2);
}

/* Version 0.3 and before: _rebuild_tensor with four arguments. */
static void the_first_rebuild_function_is_known(void **state)
{
    static const char file[] =
        HEAD "\x80\x02}U\1a"
             "ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\1kU\3cpuK\4NtQ"
             "K\1K\3\x85K\1\x85tRs." KEYS FOUR;

    (void)state;
    read_view(file, sizeof file - 1, (float[]){2, 3, 4}, 3);
}

/* The state dict is `code`. */
#define STATE(code) HEAD "\x80\x02" code KEYS FOUR

static void malformed_pickles_are_refused(void **state)
{
    (void)state;
    REFUSED(STATE("."), PRILORA_EFORMAT, "t: pickle, byte 2: the stack is empty");
    REFUSED(STATE("(."), PRILORA_EFORMAT, "t: pickle, byte 3: the stack is empty");
    REFUSED(STATE("}}."), PRILORA_EFORMAT,
            "t: pickle, byte 4: more than one value is left on the stack");
    REFUSED(STATE("}K\1K\2e"), PRILORA_EFORMAT, "t: pickle, byte 7: no mark on the stack");
    REFUSED(STATE("}(K\1u."), PRILORA_EFORMAT, "t: pickle, byte 6: a key without a value");
    REFUSED(STATE("](K\1K\2u."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 8: SETITEMS cannot be applied to a list");
    REFUSED(STATE("}K\1a."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 5: APPEND cannot be applied to a dict");
    REFUSED(STATE("K\1}b."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 5: BUILD cannot be applied to an integer");
    REFUSED(STATE("h\0."), PRILORA_EFORMAT, "t: pickle, byte 2: a memo place that holds nothing");
    REFUSED(STATE("}r\xff\xff\xff\xff."), PRILORA_ELIMIT,
            "t: pickle, byte 3: a memo place above 4194303");
    REFUSED(STATE("(q\0."), PRILORA_EFORMAT, "t: pickle, byte 3: the stack is empty");
    REFUSED(STATE("\xff"), PRILORA_EFORMAT, "t: pickle, byte 2: 0xff is no opcode");
    REFUSED(STATE("\x80\x06"), PRILORA_EFORMAT,
            "t: pickle, byte 2: the pickle protocol is above 5");
    REFUSED(STATE("\x8a\x09\1\2\3\4\5\6\7\x08\x09."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 2: an integer of more than 64 bits");
    REFUSED(STATE("N)R."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 4: a call of something that is not a function");
    REFUSED(STATE("ctorch\nFloatStorage\n)R."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 23: a call of something that is not a function");
    REFUSED(STATE("ccollections\nOrderedDict\n]R."), PRILORA_EFORMAT,
            "t: pickle, byte 28: a call whose arguments are not a short tuple");
    REFUSED(STATE("ccollections\nOrderedDict\nK\1\x85R."), PRILORA_EFORMAT,
            "t: pickle, byte 30: an OrderedDict that is not made from a list");
    REFUSED(STATE("K\1Q."), PRILORA_EFORMAT,
            "t: pickle, byte 4: a persistent id that is not a tuple");
    REFUSED(STATE("U\6moduleN\x86Q."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 12: a persistent id that is not a storage's");
    REFUSED(STATE("U\7storageN\x86Q."), PRILORA_EFORMAT,
            "t: pickle, byte 13: a storage is not described by 5 or 6 values");
    REFUSED(STATE("(U\7storagectorch\nFloatStorage\nU\1kU\3cpuK\1K\1tQ."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 45: a storage that is a view of another");
    REFUSED(STATE("(U\7storageccollections\nOrderedDict\nU\1kU\3cpuK\1tQ."), PRILORA_EFORMAT,
            "t: pickle, byte 48: a storage without type, key and size");
    REFUSED(STATE("cos\n\xff\xfe\x1b[31m\n."), PRILORA_EUNSUPPORTED,
            "t: pickle, byte 2: the global 'os.???[31m' is not one that a checkpoint needs");
}

static void other_things_than_a_dict_of_tensors_are_refused(void **state)
{
    (void)state;
    REFUSED(MAGIC PROTOCOL SYSTEM "\x80\x02K\1."
                                  "\x80\x02].",
            PRILORA_EFORMAT, "t: holds an integer, not a dict of tensors");
    REFUSED(MAGIC PROTOCOL SYSTEM "\x80\x02}K\1Ns."
                                  "\x80\x02].",
            PRILORA_EFORMAT, "t: the name of a tensor is an integer");
    REFUSED(MAGIC PROTOCOL SYSTEM "\x80\x02}U\1aG\0\0\0\0\0\0\0\0s."
                                  "\x80\x02].",
            PRILORA_EFORMAT, "t: 'a' is a float, not a tensor");
    REFUSED(MAGIC PROTOCOL SYSTEM "\x80\x02}U\2a\xff"
                                  "Ns."
                                  "\x80\x02].",
            PRILORA_EFORMAT, "t: a tensor is named 'a?', which is not text");
}

static void the_plain_form_is_checked_part_by_part(void **state)
{
    (void)state;
    REFUSED(MAGIC "\x80\x02M\xea\x03.", PRILORA_EUNSUPPORTED,
            "t: the protocol of the file is not 1001");
    REFUSED(MAGIC PROTOCOL "\x80\x02}.", PRILORA_EFORMAT, "t: does not tell its byte order");
    REFUSED(MAGIC PROTOCOL "\x80\x02}U\x0dlittle_endian\x89s.", PRILORA_EUNSUPPORTED,
            "t: was written big endian");
#define STATE_OF_ONE HEAD "\x80\x02}U\1a" VIEW "K\0K\4\x85K\1\x85\x89NtRs."
    REFUSED(STATE_OF_ONE "\x80\x02].", PRILORA_EFORMAT, "t: storage 'k' is missing");
    REFUSED(STATE_OF_ONE "\x80\x02N.", PRILORA_EFORMAT, "t: the keys of the storages are None");
    REFUSED(STATE_OF_ONE "\x80\x02]Na.", PRILORA_EFORMAT, "t: the key of a storage is None");
    REFUSED(STATE_OF_ONE "\x80\x02]U\1ja." FOUR, PRILORA_EFORMAT,
            "t: storage 'j' is listed but no tensor uses it");
    REFUSED(STATE_OF_ONE "\x80\x02](U\1kU\1ke." FOUR FOUR, PRILORA_EFORMAT,
            "t: storage 'k' is listed twice");
    REFUSED(STATE_OF_ONE KEYS "\4\0\0\0\0\0\0\0"
                              "\0\0\x80\x3f",
            PRILORA_EFORMAT, "t: ends inside storage 'k' of 16 bytes");
    REFUSED(STATE_OF_ONE KEYS "\5\0\0\0\0\0\0\0"
                              "0123456789abcdef",
            PRILORA_EFORMAT, "t: storage 'k' has 5 elements, but its tensors count on 4");
}

static void storages_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    REFUSED(HEAD "\x80\x02(U\7storagectorch\nFloatStorage\nU\1kU\3cpuK\4tQ"
                 "(U\7storagectorch\nHalfStorage\nU\1kU\3cpuK\4tQ\x86." KEYS FOUR,
            PRILORA_EFORMAT, "t: storage 'k' is both 4 x F32 and 4 x F16");
    REFUSED(HEAD
            "\x80\x02(U\7storagectorch\nFloatStorage\nU\1kU\3cpuJ\xff\xff\xff\x7ftQ." KEYS FOUR,
            PRILORA_EFORMAT,
            "t: storage 'k' is said to have 2147483647 elements, more than the file of 122 bytes "
            "can hold");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_zip_form_has_the_values_that_torch_saved),
        cmocka_unit_test(the_plain_form_has_the_values_that_torch_saved),
        cmocka_unit_test(a_long_state_dict_is_read),
        cmocka_unit_test(the_plain_form_stays_in_the_file),
        cmocka_unit_test(a_folder_with_pytorch_model_bin_opens),
        cmocka_unit_test(a_pickle_that_would_run_a_command_is_refused),
        cmocka_unit_test(what_is_no_plain_state_dict_is_refused),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(a_damaged_array_in_a_zip_is_noticed),
        cmocka_unit_test(views_are_put_in_order),
        cmocka_unit_test(views_outside_their_storage_are_refused),
        cmocka_unit_test(what_python_2_wrote_is_read),
        cmocka_unit_test(the_first_rebuild_function_is_known),
        cmocka_unit_test(malformed_pickles_are_refused),
        cmocka_unit_test(other_things_than_a_dict_of_tensors_are_refused),
        cmocka_unit_test(the_plain_form_is_checked_part_by_part),
        cmocka_unit_test(storages_that_contradict_each_other_are_refused),
    };

    return cmocka_run_group_tests_name("torch", tests, test_scratch_open, test_scratch_close);
}
