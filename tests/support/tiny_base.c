/* tiny_base.c - small tokenizers beside small checkpoints: see tiny.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/scratch.h"
#include "support/tiny.h"
#include "tok/tokenizer.h"

#define PIECES "examples/prilora-mini-en/spm.model"

static void put(const char *folder, const char *file, const char *data, size_t size)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", folder, file);
    test_scratch_write(path, data, size);
}

/* Special tokens, letters and digits at the beginning of words and in them, and some marks. */
static void write_wordpiece(const char *folder)
{
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");

    for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; c++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%c\n##%c\n", *c, *c);
    n += (size_t)snprintf(text + n, sizeof text - n, ".\n,\n!\n?\nthe\n##ing\n");
    put(folder, "vocab.txt", text, n);
}

/* The character that stands for a byte in GPT-2's vocabularies, as UTF-8. */
static void spell(char *out, unsigned byte, unsigned *next)
{
    const bool itself =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    unsigned c = itself ? byte : 256 + (*next)++;

    if (c < 0x80) {
        out[0] = (char)c;
        out[1] = '\0';
    } else {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        out[2] = '\0';
    }
}

/* Special tokens, all bytes, and one merge. */
static void write_bpe(const char *folder)
{
    static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>"};
    static const char merges[] = "#version: 0.2\nt h\n";
    json_t *vocab = json_object();
    unsigned next = 0;
    char token[4], *text;

    for (size_t i = 0; i < 4; i++)
        json_object_set_new(vocab, specials[i], json_integer((json_int_t)i));
    for (unsigned byte = 0; byte < 256; byte++) {
        spell(token, byte, &next);
        json_object_set_new(vocab, token, json_integer((json_int_t)json_object_size(vocab)));
    }
    json_object_set_new(vocab, "th", json_integer((json_int_t)json_object_size(vocab)));
    json_object_set_new(vocab, "<mask>", json_integer((json_int_t)json_object_size(vocab)));
    text = json_dumps(vocab, 0);
    put(folder, "vocab.json", text, strlen(text));
    put(folder, "merges.txt", merges, sizeof merges - 1);
    free(text);
    json_decref(vocab);
}

static void write_bundled(const char *folder)
{
    size_t size;
    char *data = test_file(PIECES, &size);

    put(folder, "spm.model", data, size);
    free(data);
}

/* One piece of SentencePiece's ModelProto: its text, and its type or a score of -1. */
static size_t add_piece(char *to, const char *text, int type)
{
    size_t n = strlen(text), rest = type ? 2 : 5;

    to[0] = to[2] = 0x0A;
    to[1] = (char)(2 + n + rest);
    to[3] = (char)n;
    memcpy(to + 4, text, n);
    memcpy(to + 4 + n, type == 2 ? "\x18\x02" : type ? "\x18\x03" : "\x15\x00\x00\x80\xBF", rest);
    return 4 + n + rest;
}

/* As fairseq numbers them: what is unknown first, then beginning and end, then letters. */
static void write_pieces(const char *folder)
{
    char data[1024], piece[8];
    size_t n = add_piece(data, "<unk>", 2);

    n += add_piece(data + n, "<s>", 3);
    n += add_piece(data + n, "</s>", 3);
    for (char c = 'a'; c <= 'z'; c++) {
        snprintf(piece, sizeof piece, "\xE2\x96\x81%c", c);
        n += add_piece(data + n, piece, 0);
        n += add_piece(data + n, piece + 3, 0);
    }
    put(folder, "sentencepiece.bpe.model", data, n);
}

static void write_tokenizer(const char *folder, const char *type)
{
    if (strcmp(type, "deberta-v2") == 0)
        write_bundled(folder);
    else if (strcmp(type, "roberta") == 0)
        write_bpe(folder);
    else if (strcmp(type, "xlm-roberta") == 0 || strcmp(type, "camembert") == 0)
        write_pieces(folder);
    else
        write_wordpiece(folder);
}

const char *test_tiny_write_base(const char *name, const struct test_tiny *given)
{
    struct test_tiny tiny = *given;
    struct pl_tokenizer *tokenizer;
    struct prilora_error err;

    test_tiny_write(name, &tiny);
    write_tokenizer(name, tiny.type ? tiny.type : "deberta-v2");
    if (pl_tokenizer_open(&tokenizer, test_scratch_path(name), &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    tiny.vocab = pl_tokenizer_vocabulary(tokenizer);
    pl_tokenizer_close(tokenizer);
    return test_tiny_write(name, &tiny);
}
