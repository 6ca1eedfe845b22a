/* Inside of the bus: for bus*.c only. */
#ifndef SHELL_BUS_INNER_H
#define SHELL_BUS_INNER_H

#include "common/base/idmap.h"
#include "noded/cluster/core.h"
#include "noded/cluster/lease.h"
#include "noded/cmd/cluster.h"
#include "noded/shell/bus.h"

struct bus_disk;
struct bus_link;

/* What happens while a step or a command runs waits here for its own step. */
struct bus_waiting {
    struct bus_waiting *next;
    struct cl_event event; /* what it points to stands here or behind */
    struct cl_command command;
    struct cl_settings settings;
    struct cl_lease_ask lease;
    struct cl_takeover promotion;
    struct cl_speaker speaker;
};

struct bus {
    struct node *node;
    struct cl_core *core;
    struct cl_effects fx;
    struct listen *listen;
    struct bus_disk *disk;
    struct idmap outs, ins; /* links: by number, those that came in without CL_INCOMING */
    uint64_t last_in;
    char *shared; /* what was read last */
    struct bus_waiting *first, **last;
    struct ev_timer timer;
    int64_t armed_us;
    struct io_turn_end turn_end;
    bool started;  /* the dataset is loaded */
    bool stepping; /* effects are being done */
    uint64_t over_limit;
    /* facts that are of now or lost with it */
    bool follows, had_data; /* a replica; it had the data of its master once */
    bool link_up;           /* as the facts were last */
    struct cl_id master;    /* whom it follows */
    int64_t fresh_us;       /* when the link to the master was last up */
    int64_t link_since_us;  /* when it became what it is, up or not */
    struct cl_facts told;   /* as of the end of the last turn */
};

#define BUS_PORT_OFFSET 10000
#define BUS_READ_BYTES ((size_t)64 * 1024)

/* bus.c: runs the core and does what it wants, then what came up meanwhile. */
void bus_step(struct bus *b, struct cl_event *e);
/* The same in a later part of this turn; what e points to is copied. */
void bus_step_later(struct bus *b, const struct cl_event *e);

/* bus_facts.c: what the core has to know of the data side, and the settings as it wants them. */
void bus_facts(struct bus *b, struct cl_facts *out, int64_t now_us);
void bus_settings(const struct bus *b, struct cl_settings *out);
void bus_data(void *bus, struct nd_cluster_data *out);
uint16_t bus_port(const struct nd_config *config); /* 0: there is none */

/* bus_jobs.c */
void bus_job_effect(struct bus *b, const struct cl_effect *fx);
void bus_jobs_upset(struct bus *b, const char *why); /* all jobs end that can */
void bus_drop_slots(struct bus *b, const uint8_t *slots);
void bus_flushed(void *bus);
void bus_forget_imports(struct bus *b); /* of all slots */
bool bus_job_progress(void *bus, const struct cl_id *job, struct nd_job_progress *out);

/* bus_link.c */
struct bus_link *bus_link_find(const struct bus *b, cl_link id);
void bus_link_connect(struct bus *b, cl_link id, const char *ip, uint16_t port);
void bus_link_accept(struct bus *b, int fd, const char *peer);
void bus_link_send(struct bus_link *l, struct slice bytes);
void bus_link_close(struct bus_link *l);
void bus_links_close(struct bus *b);
void bus_link_buffers(const struct bus_link *l, size_t *used, size_t *allocated);

/* bus_disk.c */
/* Opens and locks the file (made when there is none) and appends what is in it to text. NULL: the reason is appended to
 * error. */
struct bus_disk *bus_disk_open(struct bus *b, const char *path, struct buf *text, struct buf *error);
void bus_disk_write(struct bus_disk *d, uint64_t seq, struct slice text); /* PERSISTED or PERSIST_FAILED follows */
/* What is under way is written, and then `last`, unless it is empty. NULL is allowed. */
void bus_disk_close(struct bus_disk *d, struct slice last);
const char *bus_disk_path(const struct bus_disk *d);

#endif
