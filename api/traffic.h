/* traffic.h - requests counted by route, method and status, with how long they took. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "api/exposition.h"
#include "api/routes.h"

/* A request is over. route NULL: nothing is at its path; status 0: it was not answered. */
void traffic_count(const struct route *route, unsigned status, double seconds);

/* The samples of the two families; the family is begun. */
void traffic_write_requests(struct exposition *e);
void traffic_write_seconds(struct exposition *e);

#endif
