/* interrupt.h - Ctrl-C as something to ask about, for commands that have more to say then. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

void interrupt_catch(void); /* from now on */
bool interrupted(void);
const atomic_int *interrupt_flag(void); /* for who asks from elsewhere: 1 once it has come */
void interrupt_wait(double seconds);    /* ends sooner when it comes */
double interrupt_clock(void);           /* seconds that never go back */

#endif
