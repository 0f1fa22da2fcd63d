/* interrupt.h - Ctrl-C as something to ask about, for commands that have more to say then. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void); /* from now on */
bool interrupted(void);
void interrupt_wait(double seconds); /* ends sooner when it comes */
double interrupt_clock(void);        /* seconds that never go back */

#endif
