/* bus.h - a file that is shortened while it is mapped does not end the daemon. */
#ifndef BUS_H
#define BUS_H

/* Once, before threads are made: SIGBUS in a map of the library's is mended (prilora_mend_map); any
 * other one does what it did before. */
void bus_survive(void);

#endif
