/*
 * form.h - the multipart form of an upload: a few short fields in memory, one file straight to
 * disk, in any order and cut anywhere. Knows nothing of HTTP; form_body.c feeds it.
 */
#ifndef FORM_H
#define FORM_H

#include <nettle/sha2.h>
#include <stdint.h>

#include "api/fault.h"
#include "daemon/store.h"

#define FORM_MAX_VALUE    256
#define FORM_MAX_FILENAME 255 /* bytes */

enum form_field {
    FORM_PURPOSE,
    FORM_ANCHOR,  /* expires_after[anchor] */
    FORM_SECONDS, /* expires_after[seconds] */
    FORM_N_FIELDS,
};

/* A piece of a part, as it comes; `offset` counts from the part's beginning. */
struct form_piece {
    const char *key, *filename, *encoding; /* each may be NULL */
    const char *data;
    uint64_t offset;
    size_t size;
};

struct form_rules {
    const char *file;    /* the field that is the file */
    bool is_named;       /* its part must have a file name */
    bool has_fields;     /* those of enum form_field are taken */
    uint64_t max_bytes;  /* of the file */
    const char *setting; /* that says so, for the message; NULL: none */
};

struct form {
    struct form_rules rules;
    struct {
        char text[FORM_MAX_VALUE + 1];
        size_t size;
        bool given;
    } fields[FORM_N_FIELDS];
    /* the file: spooled at path while it comes */
    bool has_file;
    char filename[FORM_MAX_FILENAME + 1], *path;
    int fd; /* -1: none */
    uint64_t n_bytes;
    struct sha256_ctx hash;

    size_t n_pieces; /* seen: 0 means that this was no form at all */
    struct store *store;
    struct fault fault; /* the first one; status 0: none */
};

struct form *form_new(struct store *store, const struct form_rules *rules); /* NULL: no memory */
/* Closes and removes what was spooled, unless form_keep was called. */
void form_discard(struct form *form);
void form_free(struct form *form); /* discards; accepts NULL */

/* False: form->fault says what is wrong. After a fault all pieces are refused. */
bool form_take(struct form *form, const struct form_piece *piece);

/* All has come: the file is on disk for good, its SHA-256 in hex. */
bool form_end(struct form *form, char sha256[65]);
void form_keep(struct form *form); /* the file at form->path is somebody else's now */

const char *form_value(const struct form *form, enum form_field field); /* NULL: not given */

/*
 * form_filename - a name as multipart/form-data carries it: %22, %0D and %0A stand for '"', CR and
 * LF, all else for itself; folders before the last '/' are dropped. A fault if it is empty, too
 * long or not UTF-8.
 */
bool form_filename(char out[FORM_MAX_FILENAME + 1], const char *raw, struct fault *fault);

#endif
