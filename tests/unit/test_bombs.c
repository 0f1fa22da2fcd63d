/*
 * test_bombs.c - small inputs that ask for much: documents a million levels deep, labels without
 * number, a line without end, numbers that are none, and files of a model's folder that are no
 * files. Each is refused in words, at once and in little memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/job_codec.h"
#include "api/prediction_codec.h"
#include "api/upload_decode.h"
#include "io/config.h"
#include "io/tensors.h"
#include "support/scratch.h"
#include "tok/tokenizer.h"
#include "train/adapter_labels.h"
#include "train/dataset.h"
#include "train/labels_file.h"
#include "train/peft_config.h"
#include "train/preview.h"

#define BASE       "examples/prilora-mini-en"
#define DEPTH      1000000
#define N_LABELS   100000 /* a million take ten times as long, and no more memory than their file */
#define LINE_BYTES (1 << 28)
#define PATIENT    60 /* seconds until what hangs is ended */

static struct prilora_error err;

static void expect(enum prilora_status rc, enum prilora_status wanted, const char *word)
{
    if (rc != wanted || !strstr(err.message, word))
        fail_msg("%d: %s", (int)rc, err.message);
}

static char *repeated(const char *text, size_t n, size_t *size)
{
    char *out = NULL;
    FILE *stream = open_memstream(&out, size);

    assert_non_null(stream);
    for (size_t i = 0; i < n; i++)
        fputs(text, stream);
    fclose(stream);
    return out;
}

/* ---- a million levels ---- */

static enum prilora_status read_config(const char *text, size_t size)
{
    struct pl_config config;

    return pl_config_parse(&config, text, size, "input", &err);
}

static enum prilora_status read_spec(const char *text, size_t size)
{
    struct prilora_spec *spec;

    return prilora_spec_parse(&spec, text, size, &err);
}

static enum prilora_status read_peft(const char *text, size_t size)
{
    struct pl_peft_config config;

    return pl_peft_config_parse(&config, text, size, "input", &err);
}

static enum prilora_status read_safetensors(const char *text, size_t size)
{
    uint64_t length = size;
    unsigned char *file = malloc(8 + size);
    struct pl_tensors *set;
    enum prilora_status rc;

    assert_non_null(file);
    memcpy(file, &length, 8);
    memcpy(file + 8, text, size);
    rc = pl_tensors_parse_safetensors(&set, file, 8 + size, "input", &err);
    free(file);
    return rc;
}

static enum prilora_status read_index(const char *text, size_t size)
{
    struct pl_tensors *set;

    return pl_tensors_open_index(&set,
                                 test_scratch_write("model.safetensors.index.json", text, size),
                                 &err);
}

static enum prilora_status read_labels(const char *text, size_t size)
{
    struct pl_labels_file file;

    test_scratch_write("labels.json", text, size);
    return pl_labels_file_read(&file, test_scratch_path(""), &err);
}

static enum prilora_status read_adapter_labels(const char *text, size_t size)
{
    struct pl_adapter_labels labels;

    test_scratch_write("labels.json", text, size);
    return pl_adapter_labels_read(&labels, test_scratch_path(""), "", &err);
}

/* Beside the bundled base's own spm.model. */
static enum prilora_status read_tokenizer(const char *text, size_t size)
{
    struct pl_tokenizer *tokenizer;
    size_t model_size;
    char *model = test_file(BASE "/spm.model", &model_size);

    test_scratch_write("spm.model", model, model_size);
    free(model);
    test_scratch_write("tokenizer_config.json", text, size);
    return pl_tokenizer_open(&tokenizer, test_scratch_path(""), &err);
}

static enum prilora_status read_rows(const char *text, size_t size, const char *name)
{
    struct prilora_dataset_options options = {.name = name, .max_length = 16};
    struct pl_tokenizer *tokenizer;
    struct prilora_dataset *d;
    enum prilora_status rc;

    assert_int_equal(pl_tokenizer_open(&tokenizer, BASE, NULL), PRILORA_OK);
    rc = pl_dataset_parse(&d, tokenizer, text, size, &options, &err);
    pl_tokenizer_close(tokenizer);
    return rc;
}

static enum prilora_status read_lines(const char *text, size_t size)
{
    return read_rows(text, size, "a.jsonl");
}

static enum prilora_status read_list(const char *text, size_t size)
{
    return read_rows(text, size, "a.json");
}

static enum prilora_status told(bool fine, const struct fault *fault)
{
    snprintf(err.message, sizeof err.message, "%.200s", fine ? "" : fault->message);
    return fine ? PRILORA_OK : PRILORA_EFORMAT;
}

static enum prilora_status read_job(const char *text, size_t size)
{
    struct job_settings settings;
    struct fault fault = {0};
    struct job job;
    bool fine = job_decode(text, size, &job, &settings, &fault);

    job_settings_clear(&settings);
    job_clear(&job);
    return told(fine, &fault);
}

static enum prilora_status read_prediction(const char *text, size_t size)
{
    struct prediction_request request;
    struct fault fault = {0};

    return told(prediction_decode(text, size, &request, &fault), &fault);
}

static enum prilora_status read_upload(const char *text, size_t size)
{
    struct upload upload = {0};
    struct fault fault = {0};
    bool fine = upload_decode(text, size, 1000, &upload, &fault);

    upload_clear(&upload);
    return told(fine, &fault);
}

static void a_document_a_million_levels_deep_is_refused_by_all_who_read_json(void **state)
{
    static enum prilora_status (*const readers[])(const char *text, size_t size) = {
        read_config, read_spec,           read_peft,      read_safetensors, read_index,
        read_labels, read_adapter_labels, read_tokenizer, read_lines,       read_list,
        read_job,    read_prediction,     read_upload,
    };
    size_t size;

    (void)state;
    for (int object = 0; object < 2; object++) {
        char *text = repeated(object ? "{\"a\":" : "[", DEPTH, &size);

        for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
            err = (struct prilora_error){0};
            if (readers[i](text, size) == PRILORA_OK || !*err.message)
                fail_msg("reader %zu took it: %s", i, err.message);
        }
        free(text);
    }
}

/* ---- data ---- */

static void labels_without_number_are_a_named_limit(void **state)
{
    struct prilora_preview_options options = {PRILORA_TASK_AUTO, PRILORA_GLUE_NONE, "a.jsonl", 5, 9,
                                              SIZE_MAX,          SIZE_MAX};
    struct prilora_preview_info info;
    struct prilora_preview *preview;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    for (int i = 0; i < N_LABELS; i++)
        fprintf(out, "{\"text\":\"a\",\"label\":\"l%d\"}\n", i);
    fclose(out);
    expect(read_lines(text, size), PRILORA_ELIMIT, "1000");
    assert_int_equal(pl_preview_parse(&preview, text, size, &options, &err), PRILORA_OK);
    prilora_preview_describe(preview, &info);
    assert_true(info.n_labels <= PL_MAX_LABELS + 1);
    assert_non_null(strstr(info.problem, "1000"));
    prilora_preview_free(preview);
    free(text);
}

/* One row with as many labels as fit into it. */
static void a_row_of_a_million_labels_is_a_bad_row(void **state)
{
    size_t n, size;
    char *labels = repeated("\"a\",", DEPTH, &n), *text = NULL;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    fprintf(out, "{\"text\":\"a\",\"labels\":[%s\"b\"]}\n", labels);
    fclose(out);
    expect(read_lines(text, size), PRILORA_EDATA, "line 1: 1000001 labels");
    free(labels);
    free(text);
}

static void numbers_that_are_none_are_named_with_their_line(void **state)
{
    static const char *const values[] = {"NaN",      "Infinity", "-Infinity",
                                         "nan",      "1e999",    "-1e309",
                                         "+1",       "0x10",     "18446744073709551616",
                                         "1e5000000"};
    static const char *const texts[] = {"nan", "NaN", "inf", "-inf", "Infinity", "1e999"};
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int n =
            snprintf(text, sizeof text,
                     "{\"text\":\"a\",\"label\":0.5}\n{\"text\":\"b\",\"label\":%s}\n", values[i]);

        expect(read_lines(text, (size_t)n), PRILORA_EDATA, "line 2: ");
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int n = snprintf(text, sizeof text, "text,label\na,0.5\nb,1.5\nc,%s\n", texts[i]);
        struct prilora_dataset_options options = {.name = "a.csv",
                                                  .max_length = 16,
                                                  .task = PRILORA_TASK_REGRESSION};
        struct pl_tokenizer *tokenizer;
        struct prilora_dataset *d;

        assert_int_equal(pl_tokenizer_open(&tokenizer, BASE, NULL), PRILORA_OK);
        expect(pl_dataset_parse(&d, tokenizer, text, (size_t)n, &options, &err), PRILORA_EDATA,
               "line 4: ");
        pl_tokenizer_close(tokenizer);
    }
}

/* It takes no room on the disk. */
static void a_line_of_268_megabytes_is_a_bad_row(void **state)
{
    const char *path = test_scratch_write("long.jsonl", "{\"text\":\"", 9);
    struct prilora_dataset_options options = {.max_length = 16};
    struct prilora_base *base;
    struct prilora_dataset *d;

    (void)state;
    assert_int_equal(truncate(path, LINE_BYTES), 0);
    assert_int_equal(prilora_base_open(&base, BASE, &err), PRILORA_OK);
    expect(prilora_dataset_read(&d, base, path, &options, &err), PRILORA_EDATA,
           "line 1: 268435456 bytes");
    prilora_base_close(base);
    unlink(path);
}

/* ---- what is no file ---- */

static void link_all(const char *folder, const char *but)
{
    static const char *const names[] = {"config.json", "model.safetensors", "spm.model",
                                        "tokenizer_config.json"};
    char from[400], to[600];

    mkdir(folder, 0700);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *here = realpath(BASE, NULL);

        snprintf(from, sizeof from, "%.300s/%s", here, names[i]);
        free(here);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        unlink(to);
        if (strcmp(names[i], but) != 0 && access(from, F_OK) == 0)
            assert_int_equal(symlink(from, to), 0);
    }
}

/* As in Hugging Face's cache, whose snapshots are links to ../../blobs. */
static void a_folder_of_links_to_files_elsewhere_is_a_base(void **state)
{
    struct prilora_base *base;
    const char *folder = test_scratch_path("links");

    (void)state;
    link_all(folder, "");
    assert_int_equal(prilora_base_open(&base, folder, &err), PRILORA_OK);
    prilora_base_close(base);
}

static void a_fifo_or_a_device_in_a_base_is_refused_and_not_waited_for(void **state)
{
    static const char *const names[] = {"config.json", "model.safetensors", "spm.model",
                                        "tokenizer_config.json"};
    char folder[300], path[400];

    (void)state;
    snprintf(folder, sizeof folder, "%.250s", test_scratch_path("odd"));
    alarm(PATIENT); /* a FIFO that is opened without care waits for its writer */
    for (size_t i = 0; i < 3 * sizeof names / sizeof *names; i++) {
        const char *name = names[i / 3];
        struct prilora_base *base;

        link_all(folder, name);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (i % 3 == 0)
            assert_int_equal(mkfifo(path, 0600), 0);
        else if (i % 3 == 1)
            assert_int_equal(symlink("/dev/zero", path), 0);
        else
            assert_int_equal(mkdir(path, 0700), 0);
        if (prilora_base_open(&base, folder, &err) == PRILORA_OK || !strstr(err.message, name))
            fail_msg("%s: %s", name, err.message);
        remove(path);
    }
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_a_million_levels_deep_is_refused_by_all_who_read_json),
        cmocka_unit_test(labels_without_number_are_a_named_limit),
        cmocka_unit_test(a_row_of_a_million_labels_is_a_bad_row),
        cmocka_unit_test(numbers_that_are_none_are_named_with_their_line),
        cmocka_unit_test(a_line_of_268_megabytes_is_a_bad_row),
        cmocka_unit_test(a_folder_of_links_to_files_elsewhere_is_a_base),
        cmocka_unit_test(a_fifo_or_a_device_in_a_base_is_refused_and_not_waited_for),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
