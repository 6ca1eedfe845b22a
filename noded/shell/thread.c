#include "noded/shell/thread.h"

#include "common/io/log.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#define STACK_BYTES ((size_t)128 * 1024)

bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, const char *purpose)
{
    sigset_t all, before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int why = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (why != 0)
        io_log(IO_WARNING, "No thread can be started to %s: %s", purpose, strerror(why));
    return why == 0;
}
