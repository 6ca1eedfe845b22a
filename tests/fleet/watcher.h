/* A supervisor with its shipped core, and around it what the daemon does. */
#ifndef FLEET_WATCHER_H
#define FLEET_WATCHER_H

#include "sentineld/core/core.h"
#include "sentineld/core/fleet.h"
#include "tests/fleet/world.h"

#define FLEET_NAME "fleet"
#define SENTINEL_PORT 26379

struct said { /* what a core sends */
    struct letter l;
    struct sn_effect fx;
};

struct reply {
    struct letter l;
    enum sn_command command;
    bool pushed, ok; /* pushed: a message of the subscription */
    enum sn_pong pong;
    struct sn_info *info;
    struct sn_lease_told *told;
    char *text;
    uint64_t epoch;
    struct sn_opinion *opinions;
    size_t nopinions;
    struct sn_swap_word *swap; /* about the cluster `group`; NULL: about none */
    char *group;
};

struct transaction {
    uint64_t seq;
    struct sn_record *records;
    size_t n;
    struct transaction *next;
};

struct question { /* between supervisors, waits for the core's answer */
    sn_token token;
    struct conn *conn;
    enum sn_command command;
    bool copy;
    struct sn_effect fx;
    struct question *next;
};

struct adoption {    /* of a cluster that the file names and that was released before */
    sn_token reload; /* which is not made yet; 0: none */
    sn_token then;   /* who waits for the adoption */
    bool alone;
};

struct watcher {
    struct sn_core *core; /* NULL: not running */
    struct idmap links;   /* its open connections by sn_link */
    struct question *questions;
    sn_token last_token;
    struct adoption adoption;
    /* its state directory */
    uint64_t epoch;
    bool joined;
    char list[SUPER_LIST_MAX]; /* of supervisors, as it was told last */
    uint64_t list_version;
    bool list_counted;
    struct sn_record *rows; /* by kind and key */
    size_t nrows, cap_rows;
    struct transaction *queue;
    size_t committing; /* how many of the queue the running commit takes */
};

/* watcher.c */
void watcher_init(struct world *w, struct super *s);
void watcher_free(struct super *s);
void watcher_start(struct world *w, struct super *s);
void watcher_crash(struct world *w, struct super *s);
void watcher_timer(struct world *w, struct super *s);
void watcher_tick(struct world *w, struct super *s);
void watcher_step(struct world *w, struct super *s, struct sn_event *e);
bool watcher_takes_part(const struct world *w, const struct super *s);
bool watcher_switch(struct world *w, struct super *s, int shard);
void watcher_settings(const struct world *w, const struct super *s, struct sn_settings *set); /* as its file has them */
int shard_of_addr(const struct world *w, const struct addr *a); /* whose master or replica is there; -1 */
struct sn_group *watcher_group(const struct world *w, const struct super *s, int shard); /* NULL: it does not know it */

/* watcher_link.c */
void watcher_connect(struct world *w, struct super *s, const struct sn_effect *e);
void watcher_disconnect(struct world *w, struct super *s, sn_link id);
void watcher_send(struct world *w, struct super *s, struct sn_effect *e);
void watcher_up(struct world *w, struct super *s, struct conn *c);
void watcher_down(struct world *w, struct super *s, struct conn *c, enum net_down why);
void watcher_heard(struct world *w, struct super *s, const struct conn *c, struct reply *r);
void watcher_asked(struct world *w, struct super *s, struct conn *c, struct said *q, bool copy);
void watcher_answers(struct world *w, struct super *s, struct sn_effect *e);
void watcher_forgets(struct super *s); /* questions that wait */
struct reply *reply_new(enum sn_command command, bool ok);

/* watcher_disk.c */
void watcher_persist(struct world *w, struct super *s, struct sn_effect *e);
void watcher_disk_crash(struct world *w, struct super *s);
void watcher_disk_free(struct watcher *d);
void watcher_add_fleet(struct world *w, struct super *s, const struct sn_settings *set);
void watcher_wipe(struct super *s);
void watcher_list(struct world *w, struct super *s, struct sn_list *out); /* as its file and its state have it */

/* serve.c: nodes, as watchers ask them */
void serve(struct world *w, struct node *n, struct conn *c, const struct said *q, bool copy);
void serve_answered(struct world *w, const struct node *n, const struct asked *a, bool ok, struct slice text);
void serve_published(struct world *w, struct node *n, struct slice text);

/* joint.c */
void joint_asked(struct world *w, struct super *s, struct conn *c, const struct said *said, bool copy);
void joint_answers(struct world *w, struct super *s, const struct sn_effect *e);

/* watcher_check.c: S1, S2, S3, E1 */
void check_told_votes(struct world *w, const struct super *s, const struct sn_effect *e);
void check_heard_votes(struct world *w, const struct super *s, int voter, const struct sn_opinion *o, size_t n);
void check_promotion(struct world *w, const struct super *s, const struct sn_effect *e);
const char *watchers_differ(struct world *w); /* S7, E12 */

#endif
