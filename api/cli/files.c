/* files.c - upload, files: the data that jobs train on. */
#include "api/cli/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/download.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/progress.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

void files_random_key(char out[33])
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        fail(EXIT_FAILED, "no random numbers: %s", strerror(errno));
        exit(EXIT_FAILED);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- uploading ---- */

int files_upload(const struct call *call, const char *path, struct http_reply *out)
{
    char key[33];
    const char *slash = strrchr(path, '/');
    struct stat st;
    int rc;

    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        return fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(EXIT_FAILED, "%s: is not a file", path);
    files_random_key(key);
    progress_begin(stderr);
    rc = request(call,
                 &(struct http_request){.method = "POST",
                                        .path = "/v1/files",
                                        .upload = path,
                                        .key = key,
                                        .shown = slash ? slash + 1 : path},
                 out);
    progress_end();
    return rc;
}

static bool is_file_id(const char *data)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    return strncmp(data, "file-", 5) == 0 && data[5] && data[5 + strspn(data + 5, letters)] == '\0';
}

int files_data(const struct call *call, const char *data, char **id)
{
    struct http_reply reply = {0};
    int rc;

    *id = NULL;
    if (is_file_id(data) && access(data, F_OK) != 0) {
        *id = must(strdup(data));
        return EXIT_DONE;
    }
    rc = files_upload(call, data, &reply);
    if (rc == EXIT_DONE) {
        *id = must(strdup(json_text(reply.json, "id")));
        if (terminal_is(stderr))
            note("uploaded %s as %s", data, *id);
    }
    http_reply_clear(&reply);
    return rc;
}

int run_upload(struct call *call)
{
    int rc = EXIT_DONE;

    interrupt_catch();
    for (size_t i = 0; i < call->n_args && rc == EXIT_DONE; i++) {
        struct http_reply reply = {0};

        rc = files_upload(call, call->args[i], &reply);
        if (rc == EXIT_DONE && !show_json(call, &reply))
            text_say("%s", json_text(reply.json, "id"));
        http_reply_clear(&reply);
    }
    return rc;
}

/* ---- looking ---- */

int run_files(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},     {"BYTES", COLUMN_RIGHT},       {"CREATED", COLUMN_LEFT},
        {"STATUS", COLUMN_LEFT}, {"FILE NAME", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *list, *file;
    size_t i;
    int rc = list_fetch_asked(call, "/v1/files", 100, 1000, &list);

    json_array_foreach (json_object_get(list, "data"), i, file) {
        const char *status = json_text(file, "status");

        table_cell(table, json_text(file, "id"));
        table_cell(table, text_bytes(json_whole(file, "bytes")));
        table_cell(table, text_minute(json_whole(file, "created_at")));
        table_cell_coloured(table, status, terminal_status_colour(status));
        table_cell(table, json_text(file, "filename"));
    }
    if (rc == EXIT_DONE && !list_show_json(call, list))
        table_print(table);
    table_free(table);
    json_decref(list);
    return rc;
}

static void show_file(const json_t *file)
{
    struct table *t = table_new_fields();

    table_field(t, "id", "%s", json_text(file, "id"));
    table_field(t, "file name", "%s", json_text(file, "filename"));
    table_field(t, "bytes", "%lld", (long long)json_whole(file, "bytes"));
    table_field(t, "purpose", "%s", json_text(file, "purpose"));
    table_field(t, "status", "%s", json_text(file, "status"));
    table_field(t, "created", "%s", text_time(json_whole(file, "created_at")));
    if (json_whole(file, "expires_at"))
        table_field(t, "expires", "%s", text_time(json_whole(file, "expires_at")));
    if (*json_text(file, "sha256"))
        table_field(t, "sha256", "%s", json_text(file, "sha256"));
    table_print(t);
    table_free(t);
}

int run_files_show(struct call *call)
{
    struct http_reply reply = {0};
    char *id;
    int rc = resolve(call, THING_FILE, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = get(call, &reply, "/v1/files/%s", id);
    if (rc == EXIT_DONE && !show_json(call, &reply))
        show_file(reply.json);
    http_reply_clear(&reply);
    free(id);
    return rc;
}

int run_files_delete(struct call *call)
{
    return delete_each(call, THING_FILE, "/v1/files/%s", "deleted");
}

int run_files_download(struct call *call)
{
    char *id, *path = NULL;
    int rc = resolve(call, THING_FILE, call->args[0], &id);

    if (rc == EXIT_DONE) {
        path = http_path("/v1/files/%s/content", id);
        rc = download_file(call, path, call_option(call, "output"), id);
    }
    free(path);
    free(id);
    return rc;
}
