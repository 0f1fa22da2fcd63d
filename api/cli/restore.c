/*
 * restore.c - a backup becomes a state folder again, without a daemon. It is unpacked into a folder
 * in it, compared with the digests that it ends with, and only then moved up, the database last:
 * without that the folder is none.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/text.h"

#define WORK     ".restoring"
#define DATABASE "prilorad.db"
#define NOTE     "prilorad-backup.json"
#define SUMS     "SHA256SUMS"
#define FORMAT   1
#define BLOCK    ((size_t)256 * 1024)
#define MAX_NOTE ((size_t)64 << 20)
#define MAX_OPEN 16

struct restore {
    const char *from; /* as the user calls it */
    struct archive *tar;
    int folder;     /* WORK */
    uid_t owner;    /* of what is made; the state folder's */
    gid_t group;    /* likewise */
    FILE *sums;     /* what SHA256SUMS must say of what has come */
    char *sum_text; /* its */
    size_t n_sums;
    char *block;
    bool has_database, has_sums;
    size_t n;
    int64_t bytes;
};

/* ---- names ---- */

static bool is_safe(const char *name)
{
    for (const char *part = name;; part = strchr(part, '/') + 1) {
        size_t n = strcspn(part, "/");

        if (n == 0 || part[0] == '.')
            return false;
        if (part[n] == '\0')
            return true;
    }
}

/* What a backup has, and nothing that leads elsewhere. */
static bool is_expected(const char *name)
{
    static const char *const folders[] = {"files/", "parts/", "jobs/"};

    if (strcmp(name, DATABASE) == 0)
        return true;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(name, folders[i], strlen(folders[i])) == 0)
            return is_safe(name);
    return false;
}

/* ---- members ---- */

static int fail_archive(const struct restore *r)
{
    const char *why = archive_error_string(r->tar);

    return fail(EXIT_FAILED, "%s: is damaged or cut off: %s", r->from, why ? why : "?");
}

static int fail_place(const char *name)
{
    return fail(EXIT_FAILED, "%s: %s", name, strerror(errno));
}

static int own(const struct restore *r, int fd, const char *name)
{
    return geteuid() != 0 || fchown(fd, r->owner, r->group) == 0 ? EXIT_DONE : fail_place(name);
}

/* "jobs" and "jobs/ID" of "jobs/ID/checkpoint". */
static int make_parents(const struct restore *r, const char *name)
{
    char *path = must(strdup(name));
    int rc = EXIT_DONE;

    for (char *slash = strchr(path, '/'); slash && rc == EXIT_DONE;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(r->folder, path, 0750) == 0)
            rc = geteuid() != 0 ||
                         fchownat(r->folder, path, r->owner, r->group, AT_SYMLINK_NOFOLLOW) == 0
                     ? EXIT_DONE
                     : fail_place(path);
        else if (errno != EEXIST)
            rc = fail_place(path);
        *slash = '/';
    }
    free(path);
    return rc;
}

static int write_all(int fd, const char *data, size_t n, const char *name)
{
    while (n > 0) {
        ssize_t written = write(fd, data, n);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_place(name);
        data += written;
        n -= (size_t)written;
    }
    return EXIT_DONE;
}

/* The member's bytes, to the file and into its line of the sums. */
static int copy(struct restore *r, int fd, const char *name)
{
    struct sha256_ctx sha256;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char digits[2 * SHA256_DIGEST_SIZE + 1] = "";
    la_ssize_t n;
    int rc = EXIT_DONE;

    sha256_init(&sha256);
    while (rc == EXIT_DONE && (n = archive_read_data(r->tar, r->block, BLOCK)) != 0) {
        if (n < 0)
            return fail_archive(r);
        if (interrupted())
            return EXIT_INTERRUPTED;
        sha256_update(&sha256, (size_t)n, (const uint8_t *)r->block);
        rc = write_all(fd, r->block, (size_t)n, name);
        r->bytes += n;
    }
    sha256_digest(&sha256, sizeof digest, digest);
    base16_encode_update(digits, sizeof digest, digest);
    fprintf(r->sums, "%s  %s\n", digits, name);
    return rc;
}

static int unpack_member(struct restore *r, const char *name)
{
    int rc = make_parents(r, name), fd;

    if (rc != EXIT_DONE)
        return rc;
    fd = openat(r->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return fail_place(name);
    rc = own(r, fd, name);
    if (rc == EXIT_DONE)
        rc = copy(r, fd, name);
    close(fd);
    r->has_database = r->has_database || strcmp(name, DATABASE) == 0;
    r->n++;
    return rc;
}

/* The text of a member that is read, not unpacked; free it. */
static int read_text(struct restore *r, char **out, size_t *size)
{
    FILE *text = must(open_memstream(out, size));
    la_ssize_t n = 1;

    while (*size <= MAX_NOTE && (n = archive_read_data(r->tar, r->block, BLOCK)) > 0) {
        fwrite(r->block, 1, (size_t)n, text);
        fflush(text);
    }
    fclose(text);
    must(*out);
    return n == 0 ? EXIT_DONE : fail_archive(r);
}

/* The first member tells what this is. */
static int read_note(struct restore *r)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    char digits[2 * SHA256_DIGEST_SIZE + 1] = "", *text = NULL;
    struct sha256_ctx sha256;
    size_t size = 0, i;
    int rc = read_text(r, &text, &size);
    json_t *json = rc == EXIT_DONE ? json_loadb(text, size, 0, NULL) : NULL;
    const json_t *missing;

    if (rc == EXIT_DONE && strcmp(json_text(json, "object"), "prilorad.backup") != 0)
        rc = fail(EXIT_FAILED, "%s: is no backup of prilorad", r->from);
    else if (rc == EXIT_DONE && json_whole(json, "format") != FORMAT)
        rc = fail(EXIT_FAILED, "%s: is a backup by prilorad %s, of a form that is not known here",
                  r->from, json_text(json, "prilorad"));
    json_array_foreach ((json_t *)json_at(json, "missing"), i, missing)
        note("%s was missing when the backup was made", json_string_value(missing));
    sha256_init(&sha256);
    sha256_update(&sha256, size, (const uint8_t *)text);
    sha256_digest(&sha256, sizeof digest, digest);
    base16_encode_update(digits, sizeof digest, digest);
    fprintf(r->sums, "%s  %s\n", digits, NOTE);
    json_decref(json);
    free(text);
    return rc;
}

/* The last one must say of all of them what was seen here. */
static int compare_sums(struct restore *r)
{
    char *text = NULL;
    size_t size = 0;
    int rc = read_text(r, &text, &size);

    fflush(r->sums);
    must(r->sum_text);
    if (rc == EXIT_DONE && (size != r->n_sums || memcmp(text, r->sum_text, size) != 0))
        rc = fail(EXIT_FAILED, "%s: is damaged: its files have not the SHA-256 that it says",
                  r->from);
    r->has_sums = rc == EXIT_DONE;
    free(text);
    return rc;
}

static int take_member(struct restore *r, struct archive_entry *entry, bool is_first)
{
    const char *name = archive_entry_pathname(entry);
    bool is_file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);

    if (is_first)
        return name && is_file && strcmp(name, NOTE) == 0
                   ? read_note(r)
                   : fail(EXIT_FAILED, "%s: is no backup of prilorad", r->from);
    if (name && is_file && !r->has_sums && strcmp(name, SUMS) == 0)
        return compare_sums(r);
    if (name && is_file && !r->has_sums && is_expected(name))
        return unpack_member(r, name);
    return fail(EXIT_FAILED, "%s: has something in it that no backup has: %s", r->from,
                name ? name : "?");
}

static int unpack_all(struct restore *r)
{
    struct archive_entry *entry;
    bool is_first = true;
    int rc = EXIT_DONE, code = ARCHIVE_OK;

    while (rc == EXIT_DONE && (code = archive_read_next_header(r->tar, &entry)) == ARCHIVE_OK) {
        rc = take_member(r, entry, is_first);
        is_first = false;
    }
    if (rc == EXIT_DONE && code != ARCHIVE_EOF)
        return fail_archive(r);
    if (rc == EXIT_DONE && is_first)
        return fail(EXIT_FAILED, "%s: is no backup of prilorad", r->from);
    if (rc == EXIT_DONE && (!r->has_sums || !r->has_database))
        return fail(EXIT_FAILED, "%s: is cut off: its end is missing", r->from);
    return rc;
}

/* ---- the folder ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* A restore that was broken off may be there, and models, which no backup has. */
static int check_empty(const char *folder)
{
    static const char *const allowed[] = {".", "..", WORK, "models", "lost+found"};
    struct dirent *entry;
    DIR *dir = opendir(folder);
    int rc = EXIT_DONE;

    if (!dir)
        return fail_place(folder);
    while (rc == EXIT_DONE && (entry = readdir(dir))) {
        bool known = false;

        for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
            known = known || strcmp(entry->d_name, allowed[i]) == 0;
        if (!known)
            rc = fail(EXIT_FAILED,
                      "%s: is not empty (%s): a backup is restored into an empty folder only",
                      folder, entry->d_name);
    }
    closedir(dir);
    return rc;
}

/* All is on the disk before anything has its place, and then the places are. */
static int move_up(const struct restore *r, int top, const char *folder)
{
    static const char *const names[] = {"files", "parts", "jobs", DATABASE};

    if (syncfs(r->folder) != 0)
        return fail_place(folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (renameat(r->folder, names[i], top, names[i]) != 0 && errno != ENOENT)
            return fail_place(names[i]);
    return fsync(top) == 0 ? EXIT_DONE : fail_place(folder);
}

static int open_archive(struct restore *r)
{
    const char *path = strcmp(r->from, "-") == 0 ? NULL : r->from; /* NULL: stdin */

    archive_read_support_format_tar(r->tar);
    if (archive_read_open_filename(r->tar, path, BLOCK) != ARCHIVE_OK)
        return fail(EXIT_FAILED, "%s: is no backup of prilorad, or cannot be read: %s", r->from,
                    archive_error_string(r->tar));
    return EXIT_DONE;
}

static int restore_into(struct restore *r, int top, const char *folder)
{
    char *work = format("%s/" WORK, folder);
    struct stat st;
    int rc = EXIT_DONE;

    if ((nftw(work, remove_one, MAX_OPEN, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) ||
        fstat(top, &st) != 0 || mkdir(work, 0700) != 0 ||
        (r->folder = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
        rc = fail_place(work);
    if (rc == EXIT_DONE) {
        r->owner = st.st_uid;
        r->group = st.st_gid;
        rc = unpack_all(r);
        if (rc == EXIT_DONE)
            rc = move_up(r, top, folder);
        nftw(work, remove_one, MAX_OPEN, FTW_DEPTH | FTW_PHYS);
    }
    if (r->folder >= 0)
        close(r->folder);
    free(work);
    return rc;
}

int run_restore(struct call *call)
{
    const char *folder = call->args[1];
    struct restore r = {.from = call->args[0], .folder = -1};
    int rc, top;
    bool made = false;

    interrupt_catch();
    r.tar = must(archive_read_new());
    r.block = must(malloc(BLOCK));
    r.sums = must(open_memstream(&r.sum_text, &r.n_sums));
    rc = open_archive(&r);
    if (rc == EXIT_DONE) {
        made = mkdir(folder, 0750) == 0;
        rc = made || errno == EEXIST ? EXIT_DONE : fail_place(folder);
    }
    if (rc == EXIT_DONE)
        rc = check_empty(folder);
    if (rc == EXIT_DONE) {
        top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = top < 0 ? fail_place(folder) : restore_into(&r, top, folder);
        if (top >= 0)
            close(top);
    }
    if (rc == EXIT_DONE)
        text_say("%s: %zu files, %s; prilorad --state-dir %s goes on from there", folder, r.n,
                 text_bytes(r.bytes), folder);
    else if (made)
        rmdir(folder);
    archive_read_free(r.tar);
    fclose(r.sums);
    free(r.sum_text);
    free(r.block);
    return rc;
}
