/* backup.c - all that cannot be had again, from a running daemon into one file; restore.c has the
 * way back. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/progress.h"
#include "api/cli/terminal.h"
#include "api/cli/text.h"

#define PATH    "/v1/backup"
#define N_TRIES 3

/* Each try is another backup: what an earlier one has brought is of no use. */
static int fetch(const struct call *call, struct http_part *part)
{
    int n_tries = part->is_stream ? 1 : N_TRIES, rc = EXIT_FAILED;

    for (int i = 0; i < n_tries; i++) {
        struct http_reply reply;
        bool whole = http_fetch(call->http, PATH, part, &reply) && reply.status == 200;
        bool again = !whole && i + 1 < n_tries && !interrupted() && http_is_passing(&reply);

        rc = whole ? EXIT_DONE : again ? EXIT_FAILED : http_tell(call, &reply);
        http_reply_clear(&reply);
        if (!again)
            break;
        part->size = part->total = 0;
        if (ftruncate(part->fd, 0) != 0)
            return fail(EXIT_FAILED, "the file: %s", strerror(errno));
        interrupt_wait(1 << i);
    }
    if (rc == EXIT_DONE && part->size != part->total)
        rc = fail(EXIT_FAILED, "%lld of %lld bytes came", (long long)part->size,
                  (long long)part->total);
    return rc;
}

static int sync_parent(const char *path)
{
    char *copy = must(strdup(path));
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = EXIT_DONE;

    if (fd < 0 || fsync(fd) != 0)
        rc = fail(EXIT_FAILED, "%s: %s", copy, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

static int tell(const struct call *call, const char *path, int64_t bytes)
{
    json_t *object;

    if (!call->json) {
        text_say("%s: %s", path, text_bytes(bytes));
        return EXIT_DONE;
    }
    object = must(json_pack("{s:s?, s:I}", "file", path, "bytes", (json_int_t)bytes));
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
    return EXIT_DONE;
}

/* The name is the file's only when all of it is on the disk. */
static int to_file(const struct call *call, const char *path)
{
    char *temporary = format("%s.XXXXXX", path);
    struct http_part part = {.fd = mkostemp(temporary, O_CLOEXEC), .shown = path};
    int rc;

    if (part.fd < 0) {
        rc = fail(EXIT_FAILED, "%s: %s", temporary, strerror(errno));
        free(temporary);
        return rc;
    }
    progress_begin(stderr);
    rc = fetch(call, &part);
    progress_end();
    if (rc == EXIT_DONE && (fsync(part.fd) != 0 || rename(temporary, path) != 0))
        rc = fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (rc == EXIT_DONE)
        rc = sync_parent(path);
    else
        unlink(temporary);
    if (rc == EXIT_DONE)
        rc = tell(call, path, part.size);
    close(part.fd);
    free(temporary);
    return rc;
}

int run_backup(struct call *call)
{
    const char *path = call->args[0];
    struct http_part out = {.fd = STDOUT_FILENO, .is_stream = true};

    if (!*path)
        return fail(EXIT_USAGE, "backup: the file's name must not be empty");
    interrupt_catch();
    if (strcmp(path, "-") == 0)
        return terminal_is(stdout)
                   ? fail(EXIT_USAGE, "backup: a terminal is no place for an archive")
                   : fetch(call, &out);
    if (!call_has(call, "force") && access(path, F_OK) == 0)
        return fail(EXIT_FAILED, "%s exists; --force replaces it", path);
    return to_file(call, path);
}
