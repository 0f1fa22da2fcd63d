/*
 * speed.h - how fast this machine trains: what the last job showed, kept in the state folder, for
 * forecasts.
 */
#ifndef SPEED_H
#define SPEED_H

#include "daemon/store.h"

/* Floating-point operations per second of one compute thread; 0: no job has shown it yet. */
double speed_get(struct store *store);
void speed_learned(struct store *store, double flops_per_second);

#endif
