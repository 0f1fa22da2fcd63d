/* upload_decode.c - see upload_decode.h. */
#include "api/upload_decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/expiry.h"
#include "api/form.h"
#include "api/member.h"

#define MAX_TYPE 255

/* ---- announcing ---- */

static bool read_bytes(const json_t *value, int64_t most, int64_t *out, struct fault *fault)
{
    char must[96];

    snprintf(must, sizeof must, "an integer from 1 to %" PRId64 " (max_upload_mb)", most);
    return member_integer(value, "bytes", 1, most, must, out, fault);
}

/* Folders before the last '/' are dropped, as of a file in a form. */
static bool read_filename(const json_t *value, char **out, struct fault *fault)
{
    static const char must[] = "a file's name of at most 255 bytes";
    const char *slash;

    if (!member_text(value, "filename", FORM_MAX_FILENAME, must, out, fault))
        return false;
    slash = strrchr(*out, '/');
    if (slash)
        memmove(*out, slash + 1, strlen(slash + 1) + 1);
    if (**out == '\0' || strcmp(*out, ".") == 0 || strcmp(*out, "..") == 0 ||
        strlen(*out) > FORM_MAX_FILENAME)
        return member_fail(fault, "filename", value, must);
    return true;
}

static bool read_purpose(const json_t *value, char **out, struct fault *fault)
{
    const char *purpose = json_string_value(value);

    if (!purpose || strcmp(purpose, "fine-tune") != 0)
        return member_fail(fault, "purpose", value, "\"fine-tune\", the only one served here");
    *out = strdup(purpose);
    return *out || fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
}

/* {"anchor": "created_at", "seconds"}: of the file, not of the upload. */
static bool read_expires_after(const json_t *value, int64_t *out, struct fault *fault)
{
    const char *anchor = json_string_value(json_object_get(value, "anchor"));
    const json_t *seconds = json_object_get(value, "seconds");
    char must[128];

    *out = 0;
    if (!value || json_is_null(value))
        return true;
    *out = json_integer_value(seconds);
    if (json_object_size(value) == 2 && anchor && strcmp(anchor, "created_at") == 0 &&
        json_is_integer(seconds) && *out >= EXPIRY_MIN_S && *out <= EXPIRY_MAX_S)
        return true;
    snprintf(must, sizeof must, "{\"anchor\": \"created_at\", \"seconds\": %d to %d}", EXPIRY_MIN_S,
             EXPIRY_MAX_S);
    return member_fail(fault, "expires_after", value, must);
}

bool upload_decode(const char *body, size_t size, int64_t max_bytes, struct upload *out,
                   struct fault *fault)
{
    static const char *const names[] = {"bytes",   "filename",      "mime_type",
                                        "purpose", "expires_after", NULL};
    json_t *object = member_body(body, size, fault);
    bool right =
        object && member_check_names(object, names, fault) &&
        read_bytes(json_object_get(object, "bytes"), max_bytes, &out->bytes, fault) &&
        read_filename(json_object_get(object, "filename"), &out->filename, fault) &&
        member_text(json_object_get(object, "mime_type"), "mime_type", MAX_TYPE,
                    "a media type, as text/jsonl", &out->mime_type, fault) &&
        read_purpose(json_object_get(object, "purpose"), &out->purpose, fault) &&
        read_expires_after(json_object_get(object, "expires_after"), &out->file_expires_s, fault);

    json_decref(object);
    return right;
}

/* ---- completing ---- */

static bool read_part_ids(const json_t *value, struct completion_order *out, struct fault *fault)
{
    size_t n = json_array_size(value);
    bool right = n >= 1 && n <= UPLOAD_MAX_PARTS;
    const json_t *id;
    size_t i;

    json_array_foreach (value, i, id)
        right = right && json_is_string(id);
    if (!right)
        return member_fail(fault, "part_ids", value, "a list of 1 to 10000 ids of parts");
    out->part_ids = calloc(n, sizeof *out->part_ids);
    while (out->part_ids && out->n_parts < n) {
        out->part_ids[out->n_parts] =
            strdup(json_string_value(json_array_get(value, out->n_parts)));
        if (!out->part_ids[out->n_parts])
            break;
        out->n_parts++;
    }
    return out->n_parts == n || fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
}

static bool read_md5(const json_t *value, char out[33], struct fault *fault)
{
    const char *text = json_string_value(value);

    if (!value || json_is_null(value))
        return true;
    if (!text || strlen(text) != 32 || text[strspn(text, "0123456789abcdefABCDEF")] != '\0')
        return member_fail(fault, "md5", value, "32 hexadecimal digits");
    memcpy(out, text, 33);
    return true;
}

bool upload_decode_order(const char *body, size_t size, struct completion_order *out,
                         struct fault *fault)
{
    static const char *const names[] = {"part_ids", "md5", NULL};
    json_t *object = member_body(body, size, fault);
    bool right = object && member_check_names(object, names, fault) &&
                 read_md5(json_object_get(object, "md5"), out->md5, fault) &&
                 read_part_ids(json_object_get(object, "part_ids"), out, fault);

    json_decref(object);
    return right;
}
