/* db_copy.c - see db_copy.h. SQLite copies its pages; what makes a file of them is here. */
#include "daemon/db_copy.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

static enum prilora_status fail(int code, const char *path, struct prilora_error *err)
{
    static const struct {
        int code;
        enum prilora_status status;
    } kinds[] = {
        {SQLITE_FULL, PRILORA_ENOSPC},
        {SQLITE_NOMEM, PRILORA_ENOMEM},
        {SQLITE_CORRUPT, PRILORA_EFORMAT},
        {SQLITE_NOTADB, PRILORA_EFORMAT},
    };
    enum prilora_status status = PRILORA_EIO;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == (code & 0xff))
            status = kinds[i].status;
    return error_set(err, status, "%s: cannot be written: %s", path,
                     status == PRILORA_ENOSPC ? "the disk is full" : sqlite3_errstr(code));
}

/* Neither journal nor sync: a copy that is not whole is thrown away, and synced when it is. */
static enum prilora_status copy_pages(sqlite3 *db, const char *path, struct prilora_error *err)
{
    sqlite3 *to = NULL;
    sqlite3_backup *backup;
    int code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL,
                            NULL);
    if (code == SQLITE_OK) {
        backup = sqlite3_backup_init(to, "main", db, "main");
        code = backup ? sqlite3_backup_step(backup, -1) : sqlite3_extended_errcode(to);
        sqlite3_backup_finish(backup);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    if (sqlite3_close(to) != SQLITE_OK && code == SQLITE_OK)
        code = SQLITE_IOERR;
    return code == SQLITE_OK ? PRILORA_OK : fail(code, path, err);
}

static enum prilora_status sync_file(const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fchmod(fd, 0640) != 0 || fsync(fd) != 0)
        rc = error_errno(err, path, "sync");
    if (fd >= 0)
        close(fd);
    return rc;
}

enum prilora_status db_copy(sqlite3 *db, const char *path, struct prilora_error *err)
{
    char *part = text_format("%s.part", path), *folder = strdup(path);
    enum prilora_status rc = part && folder ? path_remove(part, err) : error_memory(err);

    if (rc == PRILORA_OK)
        rc = copy_pages(db, part, err);
    if (rc == PRILORA_OK)
        rc = sync_file(part, err);
    if (rc == PRILORA_OK && rename(part, path) != 0)
        rc = error_errno(err, path, "write");
    if (rc == PRILORA_OK)
        rc = path_sync_folder(dirname(folder), err);
    if (rc != PRILORA_OK && part)
        unlink(part);
    free(folder);
    free(part);
    return rc;
}
