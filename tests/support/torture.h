/*
 * torture.h - clients that do all they can with a real daemon while it is ended again and again:
 * upload, submit, pause, resume, cancel, edit, delete, go on from adapters, predict. Afterwards
 * everything that was answered must be there, once, and every job that trained to its end must have
 * the bytes of one that nobody disturbed.
 */
#ifndef TEST_TORTURE_H
#define TEST_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/server.h"

#define TORTURE_MAX_JOBS  4000
#define TORTURE_MAX_FILES 4000
#define TORTURE_KINDS     3

enum doubt { NO, PERHAPS, YES };

enum torture_how { TORTURE_KILL, TORTURE_TERM };

struct torture {
    enum torture_how how;
    struct test_server *(*start)(struct torture *t, const char *const *settings); /* or NULL */
    void (*after_end)(struct torture *t); /* before it is started again; or NULL */
    void *context;                        /* theirs */

    struct test_server *server;
    uint64_t random;
    int n_ends;
    char train[64], parent[64], model[128];
    struct {
        char *adapter;
        size_t size;
    } kinds[TORTURE_KINDS]; /* what they end with, undisturbed */
    struct {
        char id[64]; /* "": not answered yet */
        int kind;
        enum doubt cancelled, deleted;
    } jobs[TORTURE_MAX_JOBS]; /* their number is in their metadata */
    int n_jobs;
    struct {
        char id[64], upload[64], parts[2][64]; /* "": not answered; upload: came in parts */
        enum doubt deleted;
    } files[TORTURE_MAX_FILES]; /* their number is in their name */
    int n_files;
};

/* PROGRAM [ends [seed]]; the seed is told. */
void torture_arguments(struct torture *t, int n_ends, int argc, char **argv);
/* Group fixtures: the daemon, and what undisturbed jobs end with. */
int torture_open(struct torture *t, void **state);
int torture_close(struct torture *t, void **state);

/* One life of the daemon: it is under load, ends, and is started again. */
void torture_live(struct torture *t);
/* After all of them. The daemon is stopped then. */
void torture_check(struct torture *t);

/* ---- for each other */

unsigned torture_draw(struct torture *t, unsigned below);
/* A request without a body about one object; NULL: the daemon did not live to answer. */
struct test_reply *torture_ask(struct torture *t, const char *method, const char *what,
                               const char *id, const char *verb);
bool torture_ask_again(struct torture *t); /* everything that is still in doubt and can be */
bool torture_complete(struct torture *t, int number);
void torture_file_text(int number, char *out, size_t room);

#endif
