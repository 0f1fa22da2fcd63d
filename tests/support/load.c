/* load.c - see load.h. */
#include "support/load.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/tree.h"

#define N_KEPT   6
#define PAUSE_NS 5000000 /* so that what is tested beside it goes on, too */

static volatile sig_atomic_t is_over;

static void end(int number)
{
    (void)number;
    is_over = 1;
}

/* In this process there is no test that could fail: its end tells. */
static void must(const struct test_reply *reply, const char *what)
{
    if (reply->status == 200)
        return;
    fprintf(stderr, "load: %s: %ld %s\n", what, reply->status, reply->body ? reply->body : "");
    _exit(1);
}

static struct test_reply *ask(const struct test_server *server, const char *method,
                              const char *what, const char *id, const char *verb, const char *body)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s%s", what, id, verb);
    return test_send(server, &(struct test_request){.method = method, .path = path, .body = body});
}

static void move_files(const struct test_server *server, unsigned round)
{
    static char kept[N_KEPT][64];
    char text[200], *place = kept[round % N_KEPT];

    if (*place)
        must(ask(server, "DELETE", "/v1/files", place, "", NULL), "delete a file");
    snprintf(text, sizeof text, "text,label\n%u is a number,a\nand so is %u,b\n", round, round + 1);
    snprintf(place, sizeof kept[0], "%s", test_upload(server, "load.csv", text));
}

static void send_part(const struct test_server *server)
{
    static const char part[] = "--cut\r\nContent-Disposition: form-data; name=\"data\"; "
                               "filename=\"blob\"\r\n\r\n0123456789\r\n--cut--\r\n";
    struct test_reply *reply = test_post(server, "/v1/uploads",
                                         "{\"bytes\": 10, \"filename\": \"part.csv\", "
                                         "\"mime_type\": \"text/csv\", \"purpose\": "
                                         "\"fine-tune\"}");
    char id[64], path[200], body[200];

    must(reply, "announce an upload");
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", id);
    reply = test_send(server, &(struct test_request){.method = "POST",
                                                     .path = path,
                                                     .body = part,
                                                     .type = "multipart/form-data; boundary=cut"});
    must(reply, "send a part");
    snprintf(body, sizeof body, "{\"part_ids\": [\"%s\"]}", test_text(reply->json, "id"));
    must(ask(server, "POST", "/v1/uploads", id, "/complete", body), "complete an upload");
}

/* One that waits, and one that comes and goes. */
static void move_jobs(const struct test_server *server, const char *training_file)
{
    char body[300], id[64];
    struct test_reply *reply;

    snprintf(body, sizeof body, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             training_file);
    reply = test_post(server, "/v1/fine_tuning/jobs", body);
    must(reply, "submit a job");
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    must(ask(server, "POST", "/v1/fine_tuning/jobs", id, "/cancel", NULL), "cancel a job");
    reply = ask(server, "DELETE", "/v1/fine_tuning/jobs", id, "", NULL);
    if (reply->status != 409) /* a worker had taken it */
        must(reply, "delete a job");
}

pid_t test_load_begin(const struct test_server *server, const char *training_file)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    test_client_free(); /* the connection is the parent's */
    signal(SIGTERM, end);
    for (unsigned round = 0; !is_over; round++) {
        nanosleep(&pause, NULL);
        move_files(server, round);
        if (round % 3 == 0)
            send_part(server);
        if (round % 4 == 0)
            move_jobs(server, training_file);
    }
    _exit(0);
}

void test_load_end(pid_t pid)
{
    int status;

    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
