/*
 * position.h - how far the reader of a live stream has come, and the text that it names this by:
 * the `id:` of each message, sent back as Last-Event-ID. Pure functions.
 *
 * The text is "2f-1c8-1b-1-5d0c8a3e": in hexadecimal the last event's sequence number, the last
 * revision of the metrics and of the layers, whether the end was told, and check digits over all of
 * these and the job's id, so that another job's id is known as wrong.
 */
#ifndef POSITION_H
#define POSITION_H

#include <stdbool.h>
#include <stdint.h>

#define POSITION_SIZE 80

struct position {
    int64_t event, metrics, layers; /* 0: before the first */
    bool ended;
};

void position_format(char out[POSITION_SIZE], const char *job_id, const struct position *position);
/* False: not a text that position_format makes for this job. */
bool position_parse(struct position *out, const char *job_id, const char *text);

#endif
