/* priority.h - who goes first when every core is busy. */
#ifndef PRIORITY_H
#define PRIORITY_H

/*
 * priority_lower - this thread, and those it will make, give way at once to a thread that answers
 * a client, and to other programs; among themselves they share the cores as before. It cannot be
 * taken back.
 */
void priority_lower(void);

/* The same, but before those: for what a client waits for, and is a computation all the same. */
void priority_lower_some(void);

#endif
