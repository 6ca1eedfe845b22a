/* A process of this host that a drill does harm to. It gets a signal only after it was shown that it is the one that
 * listens at the address, and through a descriptor of the process itself (pidfd), so that a number that was given to
 * another process meanwhile hits nobody. */
#ifndef NODECTL_DRILL_PROCESS_H
#define NODECTL_DRILL_PROCESS_H

#include "common/base/addr.h"
#include "nodectl/drill/unit.h"

#include <sys/resource.h>
#include <sys/types.h>

struct local_process {
    pid_t pid;
    int fd;           /* pidfd */
    struct unit unit; /* whose main process it is */
    /* How it is started again. */
    char *program, *folder, *output; /* output: the file that its standard output is; NULL: none */
    char *words, *environment;       /* as in /proc: each ends with a NUL */
    size_t nwords, nenvironment;     /* bytes */
    uid_t user;
    gid_t group, *groups;
    size_t ngroups;
    struct rlimit limits[RLIM_NLIMITS];
};

enum process_found {
    PROCESS_HERE,
    PROCESS_ELSEWHERE, /* the address, or the process, is of another host or container */
    PROCESS_REFUSED,   /* it cannot be shown that this is the process, or it may not be signalled */
};

/* pid: what the node itself says (INFO, process_id). Not PROCESS_HERE: the reason is appended to why. */
enum process_found process_find(struct local_process *p, const struct addr *a, int64_t pid, struct buf *why);
void process_free(struct local_process *p);

bool process_signal(const struct local_process *p, int sig, struct buf *why);
bool process_wait_end(const struct local_process *p, int timeout_ms); /* false: it still runs */
/* Before it is ended: whether it could be started again. One that wrote a title over its arguments (redis-server does:
 * "/usr/bin/redis-server *:6379") is started again as the title's first word with its configuration file ("": it has
 * none). false: the reason is appended to why. */
bool process_can_start_again(struct local_process *p, const char *config_file, struct buf *why);
/* The same program with the same arguments, environment, folder, limits and user, not as a child of ours. fd: gets a
 * pidfd of the new process, which the caller closes, or -1; NULL: it is not wanted. */
bool process_start_again(const struct local_process *p, int *fd, struct buf *why);

#endif
