/*
 * store_parts.h - inside view of struct store: a connection for every thread, and what store.c and
 * store_connection.c do for each other.
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/store.h"

struct connection {
    struct store *store;
    sqlite3 *db;
    sqlite3_stmt **statements;
    size_t n_statements, room;
    struct store_joined *joined; /* what the next transaction also does, in order */
    double waits_since;          /* for the lock of the database */
    struct connection *next;
};

struct store {
    char *folder, *database;
    int lock_fd;
    bool has_key;
    pthread_key_t key;              /* this thread's struct connection */
    atomic_bool is_held;            /* somebody waited in vain */
    pthread_mutex_t mutex;          /* guards connections */
    struct connection *connections; /* of all threads */
};

/* This thread's connection, opened when it is first asked for; NULL with *err filled. */
struct connection *store_connection(struct store *store, struct prilora_error *err);
/* Fills in c->db; c->store is set. Of a connection that belongs to no thread, too. */
enum prilora_status store_connection_open(struct connection *c, const char *path,
                                          struct prilora_error *err);
void store_connection_close(struct connection *c); /* and frees it */
void store_connection_release(void *value);        /* when a thread ends */

/* What SQLite's result code is to us. */
enum prilora_status store_status_of(int code);

#endif
