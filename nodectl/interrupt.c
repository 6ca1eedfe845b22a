#include "nodectl/interrupt.h"

#include "nodectl/fleet.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    (void)sig;
    if (caught)
        _exit(EXIT_INTERRUPTED);
    caught = 1;
}

void interrupt_catch(void)
{
    /* Without SA_RESTART, so that waiting ends at once. */
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool interrupted(void)
{
    return caught;
}

bool interrupt_sleep(int ms)
{
    int64_t end = fleet_now_ms() + ms;
    for (int64_t left = ms; left > 0 && !caught; left = end - fleet_now_ms())
        poll(NULL, 0, (int)left);
    return !caught;
}
