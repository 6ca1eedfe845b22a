/* Ctrl-C. A command that changes something catches it, ends the step that it is in, says what was done and how to go
 * on, and ends with EXIT_INTERRUPTED. A second Ctrl-C ends the program at once. */
#ifndef NODECTL_INTERRUPT_H
#define NODECTL_INTERRUPT_H

#include <stdbool.h>

enum { EXIT_INTERRUPTED = 130 }; /* as a shell tells an end by SIGINT */

/* From now on SIGINT and SIGTERM are noted instead of ending the program. */
void interrupt_catch(void);
bool interrupted(void);
/* Sleeps; true: for the whole time, false: it was cut short by an interrupt. */
bool interrupt_sleep(int ms);

#endif
