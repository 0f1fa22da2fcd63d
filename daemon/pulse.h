/*
 * pulse.h - whether threads get on: each says when it begins and ends something that may hang, and
 * counts up meanwhile, the library for it, too (prilora_pulse). daemon/watchdog.c looks whether the
 * counts move. A thread that has nothing to do is well; one that waits for something that may
 * rightly take as long as it likes (another machine) says that it has ended.
 */
#ifndef PULSE_H
#define PULSE_H

#include <stddef.h>

#define PULSE_MAX_THREADS 1024 /* that are looked after; further ones are not */

/* This thread does something now: "training". The text must last. */
void pulse_begin(const char *doing);
void pulse_beat(void); /* it gets on; cheap, and nothing to threads that do nothing */
void pulse_end(void);

struct pulse_look {
    size_t n_moved;      /* threads that began, went on or ended since the last look */
    size_t n_stalled;    /* that have stood still for `patience_s` */
    const char *stalled; /* what the one of these does that has stood longest */
    double stalled_s;
};
/* One look at all, `elapsed_s` after the one before; patience_s 0: endless. For one thread only. */
void pulse_look(struct pulse_look *out, double elapsed_s, double patience_s);

#endif
