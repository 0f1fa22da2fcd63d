/* faulty.c - see faulty.h. */
#include "support/faulty.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/tree.h"

#define PAGE 4096

/* ---- the page, and the daemon with the library in it ---- */

static void make_page(struct faulty *f, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof *f->shim), 0);
    f->shim = mmap(NULL, sizeof *f->shim, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(f->shim != MAP_FAILED);
    close(fd);
}

static void make_shadow(struct faulty *f)
{
    static const char *const kinds[] = {"", "/live", "/data", "/dirs"};
    char path[300];

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "%s%s", f->shim->shadow, kinds[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

/* For every start of the daemon from now on; curl and the rest of this process do not see it. */
static void preload(const char *page)
{
    const char *program = getenv("PRILORAD"), *slash = program ? strrchr(program, '/') : NULL;
    char library[600], whole[PATH_MAX];

    snprintf(library, sizeof library, "%.*s/tests/faults/shim.so",
             slash ? (int)(slash - program) : 1, slash ? program : ".");
    if (!realpath(library, whole))
        fail_msg("%s: %s", library, strerror(errno));
    setenv("LD_PRELOAD", whole, 1);
    setenv(SHIM_VARIABLE, page, 1);
}

void faulty_open(struct faulty *f, const char *const *settings, bool with_power)
{
    const char *top = getenv("TMPDIR");
    struct test_server *server = calloc(1, sizeof *server);
    char folder[128], page[250];

    assert_non_null(server);
    snprintf(folder, sizeof folder, "%s/prilorad-faults-XXXXXX", top ? top : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(page, sizeof page, "%s/page", folder);
    make_page(f, page);
    snprintf(server->folder, sizeof server->folder, "%s/server", folder);
    assert_int_equal(mkdir(server->folder, 0700), 0);
    snprintf(f->shim->root, sizeof f->shim->root, "%s%s", server->folder,
             with_power ? "" : "/state");
    if (with_power) {
        snprintf(f->shim->shadow, sizeof f->shim->shadow, "%s/shadow", folder);
        make_shadow(f);
    }
    for (size_t i = 0; settings && settings[i] && i + 1 < TEST_MAX_SETTINGS; i++)
        server->settings[i] = settings[i];
    f->server = server;
    preload(page);
    test_server_start(server);
}

void faulty_close(struct faulty *f)
{
    char folder[256];

    faulty_disarm(f);
    snprintf(folder, sizeof folder, "%.*s",
             (int)(strrchr(f->server->folder, '/') - f->server->folder), f->server->folder);
    test_server_free(f->server);
    munmap(f->shim, sizeof *f->shim);
    test_tree_remove(folder);
    unsetenv("LD_PRELOAD");
    unsetenv(SHIM_VARIABLE);
}

void faulty_arm(struct faulty *f, enum shim_calls calls, long left, long fail, int error)
{
    faulty_disarm(f);
    atomic_store(&f->shim->error, error);
    atomic_store(&f->shim->left, left);
    atomic_store(&f->shim->fail, fail);
    atomic_store(&f->shim->seen, 0);
    atomic_store(&f->shim->failed, 0);
    atomic_store(&f->shim->calls, (int)calls);
}

void faulty_disarm(struct faulty *f)
{
    atomic_store(&f->shim->calls, SHIM_NO_CALLS);
}

/* ---- what a disk would hold ----
 *
 * Three kinds of luck: only what was synced; of the synced names, pages that were not synced, too;
 * all names as they were last, and of their bytes what was synced and some pages (a file system
 * that writes names before bytes).
 */

struct cut {
    const char *shadow;
    uint64_t random;
    bool with_pages, names_as_last;
};

static bool toss(struct cut *cut)
{
    cut->random = cut->random * 6364136223846793005u + 1442695040888963407u;
    return cut->random >> 63;
}

/* Up to a page at that place of shadow/<kind>/<inode>; 0: it does not reach so far. */
static size_t read_page(int fd, off_t at, char page[PAGE])
{
    ssize_t n = fd < 0 ? 0 : pread(fd, page, PAGE, at);

    return n > 0 ? (size_t)n : 0;
}

static int open_kept(const struct cut *cut, const char *kind, unsigned long inode)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s/%lu", cut->shadow, kind, inode);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The synced bytes; perhaps, page by page, the last ones. */
static void make_file(struct cut *cut, unsigned long inode, const char *path)
{
    int synced = open_kept(cut, "data", inode), last = open_kept(cut, "live", inode);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    char pages[2][PAGE];

    assert_true(out >= 0);
    for (off_t at = 0;; at += PAGE) {
        size_t n[2] = {read_page(synced, at, pages[0]),
                       cut->with_pages ? read_page(last, at, pages[1]) : 0};
        bool newer = n[1] && toss(cut);

        if (!n[0] && !n[1])
            break;
        if (n[newer])
            assert_int_equal(pwrite(out, pages[newer], n[newer], at), n[newer]);
    }
    close(out);
    if (synced >= 0)
        close(synced);
    if (last >= 0)
        close(last);
}

static void make_folder(struct cut *cut, unsigned long inode, const char *path);

/* Its names as they were synced, or none if it never was. */
static FILE *open_names(const struct cut *cut, unsigned long inode)
{
    char list[400];

    snprintf(list, sizeof list, "%s/dirs/%lu", cut->shadow, inode);
    return fopen(list, "r");
}

static void make_entries(struct cut *cut, FILE *names, const char *path)
{
    char kind, name[300], inside[1200];
    unsigned long inode;

    while (fscanf(names, "%c %lu %299[^\n]\n", &kind, &inode, name) == 3) {
        snprintf(inside, sizeof inside, "%s/%s", path, name);
        if (kind == 'd')
            make_folder(cut, inode, inside);
        else
            make_file(cut, inode, inside);
    }
}

static void make_folder(struct cut *cut, unsigned long inode, const char *path)
{
    FILE *names = open_names(cut, inode);

    assert_int_equal(mkdir(path, 0750), 0);
    if (names) {
        make_entries(cut, names, path);
        fclose(names);
    }
}

/* The names as they are in the folder `from`. */
static void make_as_last(struct cut *cut, const char *from, const char *path)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    char old[1200], inside[1200];

    assert_non_null(dir);
    assert_int_equal(mkdir(path, 0750), 0);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(old, sizeof old, "%s/%s", from, entry->d_name);
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            make_as_last(cut, old, inside);
        else
            make_file(cut, entry->d_ino, inside);
    }
    closedir(dir);
}

/* The inode of "state" in what was synced of the server's folder; 0: it is not there. */
static unsigned long find_state(const struct cut *cut, const char *folder)
{
    struct stat st;
    FILE *names;
    char kind, name[300];
    unsigned long inode, found = 0;

    assert_int_equal(stat(folder, &st), 0);
    names = open_names(cut, st.st_ino);
    while (names && fscanf(names, "%c %lu %299[^\n]\n", &kind, &inode, name) == 3)
        if (strcmp(name, "state") == 0)
            found = inode;
    if (names)
        fclose(names);
    return found;
}

void faulty_cut_power(struct faulty *f, uint64_t random)
{
    struct cut cut = {f->shim->shadow, random, random % 3 > 0, random % 3 == 2};
    char state[300], made[300];
    unsigned long inode = find_state(&cut, f->server->folder);

    snprintf(state, sizeof state, "%s/state", f->server->folder);
    snprintf(made, sizeof made, "%s/made", f->server->folder);
    if (cut.names_as_last)
        make_as_last(&cut, state, made);
    else if (inode)
        make_folder(&cut, inode, made);
    test_tree_remove(state);
    assert_true(rename(made, state) == 0 || !inode);
    test_tree_remove(f->shim->shadow);
    make_shadow(f);
}
