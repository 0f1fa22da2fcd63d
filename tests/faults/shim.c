/* shim.c - see shim.h: the calls that are put before the C library's own. */
#include "faults/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct shim *shim;

/* The C library's own function of that name and type. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Where it crashed, and what had failed last, into the log that the harness shows. */
static void tell_stacks(int number)
{
    void *stack[40];

    shim->calls = SHIM_NO_CALLS;
    backtrace_symbols_fd(stack, backtrace(stack, 40), STDERR_FILENO);
    if (shim->stack[0])
        backtrace_symbols_fd(shim->stack, SHIM_DEPTH, STDERR_FILENO);
    raise(number);
}

__attribute__((constructor)) static void begin(void)
{
    const struct sigaction crash = {.sa_handler = tell_stacks, .sa_flags = (int)SA_RESETHAND};
    const char *path = getenv(SHIM_VARIABLE);
    void *stack[2];
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *shim, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        return;
    shim = page;
    backtrace(stack, 2); /* the first one loads a library, and allocates */
    sigaction(SIGSEGV, &crash, NULL);
    if (shim->shadow[0])
        shim_begin_power();
}

_Bool shim_fails(enum shim_calls calls)
{
    if (!shim || atomic_load(&shim->calls) != (int)calls)
        return 0;
    atomic_fetch_add(&shim->seen, 1);
    if (atomic_fetch_sub(&shim->left, 1) > 0)
        return 0;
    atomic_store(&shim->left, 0);
    if (atomic_fetch_sub(&shim->fail, 1) <= 0) {
        atomic_store(&shim->fail, 0);
        return 0;
    }
    atomic_fetch_add(&shim->failed, 1);
    errno = atomic_load(&shim->error);
    return 1;
}

/* Whether the hash was not there yet; it is now. Never true once there is no more room. */
static _Bool add_place(unsigned long hash)
{
    for (unsigned long i = 0; i < SHIM_ROOM; i++) {
        unsigned long old = 0;

        if (atomic_compare_exchange_strong(&shim->places[(hash + i) % SHIM_ROOM], &old, hash))
            return 1;
        if (old == hash)
            return 0;
    }
    return 0;
}

/* A place that is new; addresses tell it, for it is one process. */
static _Bool place_fails(void)
{
    static _Thread_local _Bool inside;
    void *stack[SHIM_DEPTH + 2] = {NULL};
    unsigned long hash = 14695981039346656037u;

    if (inside || !shim || atomic_load(&shim->calls) != SHIM_PLACES || !atomic_load(&shim->fail))
        return 0;
    inside = 1;
    backtrace(stack, SHIM_DEPTH + 2);
    inside = 0;
    for (int i = 2; i < SHIM_DEPTH + 2; i++)
        hash = (hash ^ (unsigned long)stack[i]) * 1099511628211u;
    if (!add_place(hash | 1))
        return 0;
    atomic_store(&shim->fail, 0);
    atomic_fetch_add(&shim->n_places, 1);
    atomic_fetch_add(&shim->failed, 1);
    return 1;
}

static _Thread_local _Bool in_new;

static _Bool allocation_fails(void)
{
    if (!shim_fails(SHIM_ALLOCATIONS) && !place_fails() && !(in_new && shim_fails(SHIM_NEW)))
        return 0;
    backtrace(shim->stack, SHIM_DEPTH);
    if (shim->is_verbose) {
        static const char heading[] = "refused:\n";

        (void)!syscall(SYS_write, STDERR_FILENO, heading, sizeof heading - 1);
        backtrace_symbols_fd(shim->stack, SHIM_DEPTH, STDERR_FILENO);
    }
    errno = ENOMEM;
    return 1;
}

static _Bool path_counts(const char *path)
{
    return shim && strncmp(path, shim->root, strlen(shim->root)) == 0;
}

_Bool shim_counts(int fd)
{
    char name[64], path[512];
    ssize_t n;

    if (!shim || fd < 0)
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = '\0';
    return path_counts(path);
}

/* Looked at only while something is armed: the readlink costs. */
static _Bool fd_fails(enum shim_calls calls, int fd)
{
    int saved = errno;
    _Bool armed = shim && atomic_load(&shim->calls) == (int)calls;

    if (armed && shim_counts(fd) && shim_fails(calls))
        return 1;
    errno = saved;
    return 0;
}

static _Bool path_fails(const char *path)
{
    return path_counts(path) && shim_fails(SHIM_WRITES);
}

/* ---- writing ---- */

EXPORT ssize_t write(int fd, const void *data, size_t n)
{
    REAL(write);
    return fd_fails(SHIM_WRITES, fd) ? -1 : real(fd, data, n);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    REAL(pwrite);
    return fd_fails(SHIM_WRITES, fd) ? -1 : real(fd, data, n, at);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    REAL(pwrite64);
    return fd_fails(SHIM_WRITES, fd) ? -1 : real(fd, data, n, at);
}

EXPORT size_t fwrite(const void *data, size_t size, size_t n, FILE *file)
{
    REAL(fwrite);
    if (!fd_fails(SHIM_WRITES, fileno(file)))
        return real(data, size, n, file);
    file->_flags |= _IO_ERR_SEEN; /* as ferror(3) has it */
    return 0;
}

EXPORT int fflush(FILE *file)
{
    REAL(fflush);
    return file && fd_fails(SHIM_WRITES, fileno(file)) ? EOF : real(file);
}

EXPORT int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return fd_fails(SHIM_WRITES, fd) ? -1 : real(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return fd_fails(SHIM_WRITES, fd) ? -1 : real(fd, size);
}

/* No real one: what the machine's own disk does is not what is tried. */
static int sync_file(int fd)
{
    if (fd_fails(SHIM_WRITES, fd))
        return -1;
    if (shim && shim->shadow[0])
        shim_synced(fd);
    return 0;
}

EXPORT int fsync(int fd)
{
    return sync_file(fd);
}

EXPORT int fdatasync(int fd)
{
    return sync_file(fd);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return path_fails(path) ? -1 : real(path, mode);
}

EXPORT char *mkdtemp(char *path)
{
    REAL(mkdtemp);
    return path_fails(path) ? NULL : real(path);
}

EXPORT int mkostemp(char *path, int flags)
{
    REAL(mkostemp);
    return path_fails(path) ? -1 : real(path, flags);
}

static int open_or_fail(int (*real)(const char *, int, ...), const char *path, int flags,
                        mode_t mode)
{
    return flags & O_CREAT && path_fails(path) ? -1 : real(path, flags, mode);
}

#define OPEN(name)                                                                                 \
    EXPORT int name(const char *path, int flags, ...)                                              \
    {                                                                                              \
        REAL(name);                                                                                \
        mode_t mode = 0;                                                                           \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, flags);                                                                \
        if (flags & (O_CREAT | O_TMPFILE))                                                         \
            mode = va_arg(arguments, mode_t);                                                      \
        va_end(arguments);                                                                         \
        return open_or_fail(real, path, flags, mode);                                              \
    }
OPEN(open)
OPEN(open64)

/* ---- reading ---- */

EXPORT ssize_t read(int fd, void *data, size_t n)
{
    REAL(read);
    return fd_fails(SHIM_READS, fd) ? -1 : real(fd, data, n);
}

EXPORT ssize_t pread(int fd, void *data, size_t n, off_t at)
{
    REAL(pread);
    return fd_fails(SHIM_READS, fd) ? -1 : real(fd, data, n, at);
}

EXPORT ssize_t pread64(int fd, void *data, size_t n, off64_t at)
{
    REAL(pread64);
    return fd_fails(SHIM_READS, fd) ? -1 : real(fd, data, n, at);
}

/* ---- allocating: the C library's own have second names, so that nothing is looked up ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

EXPORT void *malloc(size_t size)
{
    return allocation_fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __libc_realloc(old, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return allocation_fails() ? NULL : __libc_memalign(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return allocation_fails() ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *made = allocation_fails() ? NULL : __libc_memalign(alignment, size);

    if (!made)
        return ENOMEM;
    *out = made;
    return 0;
}

/* Of C++, which asks malloc. An exception leaves the mark where it is, until the next one. */
EXPORT void *_Znwm(size_t size);

void *_Znwm(size_t size)
{
    void *made;

    REAL(_Znwm);
    in_new = 1;
    made = real(size);
    in_new = 0;
    return made;
}

/* ---- the wall clock ---- */

EXPORT int clock_gettime(clockid_t clock, struct timespec *out)
{
    REAL(clock_gettime);
    int rc = real(clock, out);

    if (shim && rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += atomic_load(&shim->clock_s);
    return rc;
}

EXPORT time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
