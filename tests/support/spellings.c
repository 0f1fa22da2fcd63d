/* spellings.c - see spellings.h. */
#include "support/spellings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/scratch.h"
#include "tok/utf8.h"

#define MOST ((size_t)1 << 18)

struct spellings {
    char **texts; /* [n], NULL where there is none */
    size_t n;
};

static void put(struct spellings *s, size_t id, const char *text, size_t size)
{
    assert_true(id < MOST);
    free(s->texts[id]);
    s->texts[id] = strndup(text, size);
    assert_non_null(s->texts[id]);
    if (id >= s->n)
        s->n = id + 1;
}

static void read_lines(struct spellings *s, const char *data)
{
    for (size_t id = 0; *data; id++) {
        const size_t n = strcspn(data, "\n");

        put(s, id, data, n);
        data += n + (data[n] == '\n');
    }
}

static void read_object(struct spellings *s, const json_t *object)
{
    const char *token;
    json_t *id;

    assert_true(json_object_size(object) > 0);
    json_object_foreach ((json_t *)object, token, id) {
        put(s, (size_t)json_integer_value(id), token, strlen(token));
    }
}

static size_t varint(const unsigned char **at)
{
    size_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        value |= (size_t)(**at & 0x7F) << shift;
        if (*(*at)++ < 0x80)
            return value;
    }
}

/* ModelProto.pieces = 1 {piece = 1}; every field of the model is a message. */
static void read_model(struct spellings *s, const char *data, size_t size)
{
    const unsigned char *at = (const unsigned char *)data, *end = at + size;

    while (at < end) {
        const size_t key = varint(&at), n = varint(&at);
        const unsigned char *field = at;

        at += n;
        if (key != (1 << 3 | 2))
            continue;
        assert_int_equal(*field++, 1 << 3 | 2);
        {
            const size_t n_text = varint(&field);

            put(s, s->n, (const char *)field, n_text);
        }
    }
}

struct spellings *spellings_open(const char *folder)
{
    static const char *const files[] = {"spm.model", "vocab.txt", "vocab.json", "tokenizer.json"};
    struct spellings *s = calloc(1, sizeof *s);
    char path[1100];
    size_t file = 0, size;
    char *data;
    json_t *json;

    assert_non_null(s);
    s->texts = calloc(MOST, sizeof *s->texts);
    assert_non_null(s->texts);
    for (; file < 4; file++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[file]);
        if (access(path, R_OK) == 0)
            break;
    }
    assert_true(file < 4);
    data = test_file(path, &size);
    json = file < 2 ? NULL : json_loads(data, 0, NULL);
    if (file == 0)
        read_model(s, data, size);
    else if (file == 1)
        read_lines(s, data);
    else
        read_object(s, file == 2 ? json : json_object_get(json_object_get(json, "model"), "vocab"));
    json_decref(json);
    free(data);
    return s;
}

void spellings_close(struct spellings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->texts[i]);
    free(s->texts);
    free(s);
}

const char *spelling_of(const struct spellings *s, int32_t id)
{
    return (size_t)id < s->n && s->texts[id] ? s->texts[id] : "[MASK]";
}

/* GPT-2's table as OpenAI published it: bytes that can be seen stand for themselves, the others
 * for the characters from U+0100 on, in order. */
static int byte_of(uint32_t code)
{
    uint32_t next = 0x100;

    for (uint32_t b = 0; b < 256; b++) {
        const bool seen = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;

        if ((seen ? b : next++) == code)
            return (int)b;
    }
    return -1;
}

size_t spelling_bytes(const char *spelling, char *bytes, size_t room)
{
    size_t n = 0;

    for (size_t at = 0, size = strlen(spelling); at < size && n < room; n++) {
        uint32_t code;
        bool valid;

        at += pl_utf8_next(spelling + at, size - at, &code, &valid);
        assert_true(byte_of(code) >= 0);
        bytes[n] = (char)byte_of(code);
    }
    return n;
}
