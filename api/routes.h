/* routes.h - the one table of what the server answers. */
#ifndef ROUTES_H
#define ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/keys.h"

struct request;

#define ROUTE_MAX_CAPTURES 2

/* For bodies that are not collected in memory first. */
struct body_sink {
    /* Headers are there. *state is freed with `free` whatever becomes of the request. A fault
     * that it answers with respond_* ends the reading. */
    void (*begin)(struct request *r, void **state);
    void (*take)(struct request *r, void *state, const char *data, size_t size);
    void (*free)(void *state); /* accepts NULL */
};

struct route {
    const char *method, *pattern; /* {id}: one segment, not empty; {id*}: all that are left */
    enum scope scope;
    void (*handle)(struct request *r);
    const char *summary;
    const struct body_sink *sink; /* NULL: collected, up to max_body_mb */
};

extern const struct route routes[];
extern const size_t n_routes;

enum route_found { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD, ROUTE_NO_MEMORY };

/*
 * route_find - the route of a method and an undecoded path (HEAD finds GET's). What {id} stood for
 * is put into captures, percent-decoded; the caller frees it, whatever is found. Where memory is
 * refused it is not known whether the path is one.
 */
enum route_found route_find(const char *method, const char *path, const struct route **out,
                            char *captures[ROUTE_MAX_CAPTURES]);

/* The methods that a path has, for Allow: "GET, HEAD, DELETE". */
void route_methods(const char *path, char *out, size_t room);

#endif
