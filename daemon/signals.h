/* signals.h - blocked in every thread of ours, taken by main from signals_wait. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>

/* Before threads are made, which inherit it. SIGTERM, SIGINT and SIGHUP wait from now on. */
void signals_block(void);
/* The next one, or 0 after so many seconds. */
int signals_wait(long seconds);
bool signals_ask_for_end(void); /* SIGTERM or SIGINT waits to be taken */
/* From now on another SIGTERM or SIGINT ends the process at once. */
void signals_let_end(void);

#endif
