/* rows.h - a job's events and the rows of its series as JSON, in lists and in live streams. */
#ifndef ROWS_H
#define ROWS_H

#include "api/json_out.h"
#include "daemon/events.h"

/* The event object of OpenAI's interface. */
void event_encode(struct json_out *out, const struct event *event);

/* {"step", "created_at", ...}: each row is an object of its own. */
void series_encode(struct json_out *out, const struct series_row *row);

#endif
