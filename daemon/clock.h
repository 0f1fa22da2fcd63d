/* clock.h - how much time goes by, whatever anybody sets the clock to. */
#ifndef CLOCK_H
#define CLOCK_H

double clock_seconds(void); /* since some moment before the process began */

#endif
