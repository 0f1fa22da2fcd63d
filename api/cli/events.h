/* events.h - one event as one line. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include <jansson.h>

void event_print(const json_t *event); /* to stdout */

#endif
