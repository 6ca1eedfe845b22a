/* The thread that waits for the disk: flushes, and whatever else of a file may take long. Jobs are done one after the
 * other in the order in which they were given. The thread is started with the first job. */
#ifndef SHELL_AOF_THREAD_H
#define SHELL_AOF_THREAD_H

#include <stdbool.h>

struct ev_loop;
struct aof_thread;

/* Zeroed but for the functions, and part of something larger that both of them know. */
struct aof_job {
    struct aof_job *next;
    void (*work)(struct aof_job *job); /* in the thread: touches nothing that the loop may touch meanwhile */
    void (*done)(struct aof_job *job); /* in the loop, later; may free the job and give others */
};

struct aof_thread *aof_thread_new(struct ev_loop *ev);
void aof_thread_free(struct aof_thread *t); /* after aof_thread_wait(); NULL is allowed */
void aof_thread_give(struct aof_thread *t, struct aof_job *job);
/* The loop stands still until every job is done, those too that a done() gives. */
void aof_thread_wait(struct aof_thread *t);

#endif
