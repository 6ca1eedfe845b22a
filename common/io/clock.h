/* The two clocks of the shell. The pure core gets their values as data. */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <stdint.h>

/* Microseconds that never go back and that count suspended time (CLOCK_BOOTTIME). The start is arbitrary. */
int64_t io_now_us(void);
/* Milliseconds since 1970 by the system's wall clock: to be shown and stored, never to be decided by. */
int64_t io_wall_ms(void);

#endif
