/* Stock scripts: notification-script and client-reconfig-script. A queue of 256, 16 at a time, SIGKILL after
 * script-max-runtime, 10 tries with a doubling delay from script-retry-delay; exit 0 is done, 1 or a signal is tried
 * again, 2 and above is given up (reference sections 3, 4, 7). */
#ifndef SHELL_SCRIPTS_H
#define SHELL_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct scripts;

struct scripts *scripts_new(struct daemon *d);
void scripts_free(struct scripts *s); /* ends those that run */
void scripts_queue(struct scripts *s,
                   char *const argv[]); /* NULL-terminated, copied; the oldest waiting one is dropped when full */

/* For INFO and SENTINEL PENDING-SCRIPTS. */
struct script_view {
    char *const *argv;
    bool running;
    int pid;              /* running */
    int64_t run_time_ms;  /* running: how long already */
    int64_t run_delay_ms; /* scheduled: how long to wait */
    unsigned retries;
};
size_t scripts_running(const struct scripts *s);
size_t scripts_waiting(const struct scripts *s); /* all in the queue, running ones included */
bool scripts_view(const struct scripts *s, size_t i, struct script_view *out); /* false past the last */

#endif
