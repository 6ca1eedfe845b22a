/* Threads of the node: small stacks, and signals stay the main thread's. */
#ifndef SHELL_THREAD_H
#define SHELL_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* false: none can be started; what was to be done by it is logged with the reason ("No thread can be started to ...").
 */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, const char *purpose);

#endif
