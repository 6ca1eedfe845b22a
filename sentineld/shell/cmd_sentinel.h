/* What the files of SENTINEL's subcommands share. */
#ifndef SHELL_CMD_SENTINEL_H
#define SHELL_CMD_SENTINEL_H

#include "sentineld/shell/client.h"
#include "sentineld/shell/command.h"

/* The group that argv[2] names. NULL: the error is in the reply. */
struct sn_group *cmd_group(struct call *call);

/* The cluster of that name. NULL: the error is in the reply. */
struct sn_fleet *cmd_fleet(struct call *call, struct slice name);

/* Instance maps, reference section 1: stock's fields in stock's order, then our own. */
void cmd_put_master(struct reply *r, const struct sn_group *g, int64_t now_us);
void cmd_put_replica(struct reply *r, const struct sn_inst *i, int64_t now_us);
void cmd_put_sentinel(struct reply *r, const struct sn_seat *s, int64_t now_us);
struct map_out;
void cmd_put_lease(struct map_out *m, const struct sn_group *g); /* of a shard under leases; else nothing */
struct sn_pause;
void cmd_put_pause(struct map_out *m, const struct sn_pause *p);   /* NULL: nothing */
void cmd_put_mapping(struct map_out *m, const struct sn_fleet *f); /* the last swap of databases */
struct sn_candidate;
void cmd_put_candidate(struct reply *r, const struct sn_candidate *c, int64_t now_us); /* of SENTINEL RANKING */

/* Which of a group's instances an outside reader is shown. */
bool cmd_replica_is_shown(const struct sn_inst *i);
size_t cmd_count_replicas(const struct sn_group *g);  /* known; what num-slaves says */
size_t cmd_count_sentinels(const struct sn_group *g); /* oneself not included */

/* SENTINEL CONFIG SET was made and is on disk: what of it the shell itself obeys. */
void cmd_config_applied(struct daemon *d);

/* cmd_sentinel_drill.c. false: this user may not do what drills do, which was replied. */
bool cmd_may_drill(struct call *call);
bool cmd_drill_claims(struct call *call); /* false: it is none of BEGIN, END and CLAIMS */

struct history_query;
struct history_rows;
/* cmd_sentinel_history.c: the reply to a question of SENTINEL EVENTS or HISTORY, the same in RESP2 and RESP3, made in
 * the history's thread; and its way to who asked (owner is the daemon). */
void cmd_history_render(const struct history_query *q, const struct history_rows *rows, struct buf *out);
void cmd_history_answered(void *owner, uint64_t token, const struct history_rows *rows, struct buf *reply);

#endif
