/* Child processes: scripts and hooks. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "common/base/bytes.h"
#include "common/io/loop.h"

#include <sys/types.h>

struct io_process;

struct io_process_spec {
    const char *const *argv; /* NULL-terminated; argv[0] is a path, not searched for */
    const char *const *env;  /* NULL-terminated "NAME=value" on top of our own environment; may be NULL */
    struct slice input;      /* written to its standard input, then closed; p == NULL: it inherits ours */
    int64_t deadline_ms;     /* from now; then its process group gets SIGKILL. 0: none */
    size_t output_max; /* of its standard output and error so many bytes are kept for ended(); 0: it inherits ours */
    bool ends_group;   /* what it leaves running in its process group is killed when it ends */
};

struct io_process_exit {
    int code;            /* exit code, -1 when a signal ended it */
    int signal;          /* 0 when it exited */
    bool timed_out;      /* the deadline passed and it was killed for that */
    struct slice output; /* until ended() returns */
};

typedef void io_process_fn(void *owner, struct io_process *p, const struct io_process_exit *end);

/* The child gets descriptors 0-2 only, default signal handling, and a process group of its own. ended is called once
 * from the loop; the process object is freed when it returns. NULL: it could not be started (the file is missing, not
 * executable, ...); the reason is appended to error. The loop must be the default one. */
struct io_process *io_process_start(struct io_loop *loop, const struct io_process_spec *spec, io_process_fn *ended,
                                    void *owner, struct buf *error);
pid_t io_process_pid(const struct io_process *p);
/* SIGKILL to its process group. ended() still comes. */
void io_process_kill(struct io_process *p);
/* Forgets it without killing it: ended() does not come. For the end of the program. */
void io_process_forget(struct io_process *p);

#endif
