/* child.c - see child.h. Ready is what systemd is told: READY=1 on $NOTIFY_SOCKET. */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_LIMIT_MS 120000

double child_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void child_sleep(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&t, NULL);
}

void child_die(const char *format, ...)
{
    va_list arguments;

    fputs("bench-service: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1); /* a daemon that still runs ends with us: PR_SET_PDEATHSIG */
}

/* ---- starting and stopping ---- */

static int notify_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    unlink(path);
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
            (int)sizeof address.sun_path ||
        fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        child_die("%s: cannot listen there: %s", path, strerror(errno));
    return fd;
}

static void run(const char *folder, const char *notify, const char *models, int core)
{
    const char *program = getenv("PRILORAD");
    char state[600], port[600], log[600], dirs[600];
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core != CHILD_ANY_CORE) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    snprintf(state, sizeof state, "--storage.state_dir=%s/state", folder);
    snprintf(port, sizeof port, "--server.port_file=%s/port", folder);
    snprintf(dirs, sizeof dirs, "--storage.models_dirs=%s", models);
    snprintf(log, sizeof log, "%s/log", folder);
    setenv("NOTIFY_SOCKET", notify, 1);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0)
        execl(program ? program : "build/release/prilorad", "prilorad",
              "--server.listen=127.0.0.1:0", state, port, dirs, (char *)NULL);
    _exit(127);
}

static int read_port(const char *folder)
{
    char path[600];
    FILE *file;
    int port = 0;

    snprintf(path, sizeof path, "%s/port", folder);
    file = fopen(path, "r");
    if (file && fscanf(file, "%d", &port) != 1)
        port = 0;
    if (file)
        fclose(file);
    return port;
}

/* what else it says in the meantime (STATUS=) is not asked for here */
static bool becomes_ready(struct pollfd *waiting)
{
    char message[1100];
    ssize_t n;

    while (poll(waiting, 1, READY_LIMIT_MS) == 1 &&
           (n = recv(waiting->fd, message, sizeof message - 1, 0)) >= 0) {
        message[n] = '\0';
        if (strcmp(message, "READY=1") == 0)
            return true;
    }
    return false;
}

void child_start(struct child *child, const char *folder, const char *models, int core)
{
    char notify[600];
    struct pollfd waiting = {.events = POLLIN};
    double start;

    snprintf(notify, sizeof notify, "%s/notify", folder);
    waiting.fd = notify_open(notify);
    start = child_now();
    child->pid = fork();
    if (child->pid == 0)
        run(folder, notify, models, core);
    if (!becomes_ready(&waiting))
        child_die("prilorad does not become ready; %s/log says why", folder);
    child->ready_s = child_now() - start;
    close(waiting.fd);
    child->port = read_port(folder);
    if (!child->port)
        child_die("%s: prilorad wrote no port", folder);
}

void child_stop(struct child *child)
{
    int status;

    kill(child->pid, SIGTERM);
    if (waitpid(child->pid, &status, 0) != child->pid || status != 0)
        child_die("prilorad ended with status %d", status);
    child->pid = 0;
}

/* ---- what the kernel says ---- */

double child_memory(const struct child *child, const char *row)
{
    char path[64], line[256];
    size_t n = strlen(row);
    double kib = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)child->pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, row, n) == 0 && line[n] == ':')
            kib = strtod(line + n + 1, NULL);
    if (file)
        fclose(file);
    return kib * 1024;
}

static bool read_line(char *out, size_t room, const char *folder, const char *thread,
                      const char *name)
{
    char path[400];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/%s/%s", folder, thread, name);
    file = fopen(path, "r");
    ok = file && fgets(out, (int)room, file);
    if (file)
        fclose(file);
    return ok;
}

double child_thread_seconds(const struct child *child, const char *name)
{
    char folder[64], comm[64], times[128];
    double seconds = 0;
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof folder, "/proc/%ld/task", (long)child->pid);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' &&
            read_line(comm, sizeof comm, folder, entry->d_name, "comm") &&
            strncmp(comm, name, strlen(name)) == 0 &&
            read_line(times, sizeof times, folder, entry->d_name, "schedstat"))
            seconds += 1e-9 * strtod(times, NULL); /* the first number: nanoseconds on a core */
    if (dir)
        closedir(dir);
    return seconds;
}
