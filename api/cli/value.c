/* value.c - see value.h. */
#include "api/cli/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"

/* A number as people write it, ".5" and "1e-3" too; NULL: it is none. */
static json_t *parse_number(const char *text)
{
    char *end;
    long long whole;
    double value;

    if (!*text || text[strspn(text, "+-.0123456789eE")] != '\0')
        return NULL;
    errno = 0;
    whole = strtoll(text, &end, 10);
    if (*end == '\0' && !errno)
        return must(json_integer(whole));
    value = strtod(text, &end);
    return *end == '\0' && end > text && isfinite(value) ? must(json_real(value)) : NULL;
}

static json_t *parse_word(const char *text)
{
    json_t *value = parse_number(text);

    if (value)
        return value;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    if (strcmp(text, "null") == 0)
        return json_null();
    return json_string(text); /* NULL: not UTF-8 */
}

static json_t *parse_list(const char *text)
{
    json_t *list = must(json_array());

    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        char *word = must(strndup(p, n));
        json_t *value = parse_word(word);

        free(word);
        if (!value) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, value);
        p += n;
        if (!*p)
            return list;
    }
}

json_t *value_parse(const char *text)
{
    if (strchr("[{\"", text[0]) && text[0]) {
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

        if (value)
            return value;
    }
    return strchr(text, ',') ? parse_list(text) : parse_word(text);
}

int value_read_object(const char *path, const char *what, json_t **out)
{
    json_error_t error;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (!file)
        return fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    *out = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (file != stdin)
        fclose(file);
    if (!*out)
        return fail(EXIT_FAILED, "%s:%d:%d: not JSON: %s", path, error.line, error.column,
                    error.text);
    if (!json_is_object(*out))
        return fail(EXIT_FAILED, "%s: %s must be a JSON object", path, what);
    return EXIT_DONE;
}

/* All that there is; free it. NULL: errno says why. */
static char *read_all(FILE *file, size_t *size)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n = getdelim(&text, &room, '\0', file); /* as much as JSON can hold */

    *size = n > 0 ? (size_t)n : 0;
    if (!ferror(file))
        return text ? text : must(strdup(""));
    free(text);
    return NULL;
}

static int read_text_file(const char *path, json_t **out)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t size = 0;
    char *text = file ? read_all(file, &size) : NULL;
    int error = errno;

    if (file && file != stdin)
        fclose(file);
    if (!text)
        return fail(EXIT_FAILED, "%s: %s", path, strerror(error));
    *out = json_stringn(text, size);
    free(text);
    return *out ? EXIT_DONE : fail(EXIT_FAILED, "%s: is not UTF-8", path);
}

int value_read_text(const char *given, const char *option, json_t **out)
{
    if (given[0] == '@')
        return read_text_file(given + 1, out);
    *out = json_string(given);
    return *out ? EXIT_DONE : fail(EXIT_USAGE, "--%s: \"%s\" is not UTF-8", option, given);
}

int value_set_text(json_t *object, const char *name, const char *text)
{
    json_t *value = json_string(text);

    if (!value)
        return fail(EXIT_USAGE, "%s: \"%s\" is not UTF-8", name, text);
    json_object_set_new(object, name, value);
    return EXIT_DONE;
}

int value_set_metadata(json_t *object, const char *pair)
{
    const char *equals = strchr(pair, '=');
    json_t *metadata = json_object_get(object, "metadata");
    char *name;
    int rc;

    if (!equals || equals == pair)
        return fail(EXIT_USAGE, "--metadata: \"%s\", but must be NAME=TEXT", pair);
    if (!json_is_object(metadata)) {
        metadata = must(json_object());
        json_object_set_new(object, "metadata", metadata);
    }
    name = format("%.*s", (int)(equals - pair), pair);
    rc = value_set_text(metadata, name, equals + 1);
    free(name);
    return rc;
}
