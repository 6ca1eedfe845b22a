/* Commands: one row each, with everything that is known of it. What is looked up, checked, listed, documented and
 * counted comes from the same rows. */
#ifndef SHELL_COMMAND_H
#define SHELL_COMMAND_H

#include "common/base/bytes.h"
#include "common/resp/reply.h"

struct call;
struct client;
struct command;

typedef void command_fn(struct call *call);

enum command_flag { /* the first ones are shown by COMMAND INFO, in this order */
                    CMD_ADMIN = 1 << 0,
                    CMD_PUBSUB = 1 << 1,
                    CMD_NOSCRIPT = 1 << 2,
                    CMD_LOADING = 1 << 3,
                    CMD_STALE = 1 << 4,
                    CMD_FAST = 1 << 5,
                    CMD_NO_AUTH = 1 << 6, /* may be used before AUTH */
                    CMD_NO_MULTI = 1 << 7,
                    CMD_ALLOW_BUSY = 1 << 8,
#define CMD_SHOWN_FLAGS 9
                    CMD_CONNECTION = 1 << 9,  /* category @connection */
                    CMD_DANGEROUS = 1 << 10,  /* category @dangerous without being an administrator's command */
                    CMD_ADMIN_ACL = 1 << 11,  /* categories @admin and @dangerous without the flag */
                    CMD_READ = 1 << 12,       /* users with access "read" may use it */
                    CMD_SUBSCRIBED = 1 << 13, /* a RESP2 client that is subscribed may use it */
                    CMD_UNPAUSED =
                        1 << 14, /* runs while CLIENT PAUSE holds others back: supervisors must be able to agree */
};

struct command {
    const char *name; /* lower case; of a subcommand the last part */
    const char *full; /* "client|list"; the same as name for a command without parent */
    int arity;        /* words, the name(s) included; negative: at least so many */
    unsigned flags;
    const char *since, *group, *complexity;
    const char *tips;   /* separated by blanks; "" none */
    const char *syntax; /* what follows the name, for help; "" nothing */
    const char *summary;
    command_fn *run;            /* NULL: needs a subcommand */
    const struct command *subs; /* ends with a row without name; NULL: none */
};

/* Ends with a row without name. */
extern const struct command command_table[];
extern const struct command command_table_sentinel[];
extern const struct command command_table_client[];
extern const struct command command_table_acl[];
extern const struct command command_table_command[];

/* Exact names, letters of either case. NULL: there is none. */
const struct command *command_find(const struct command *rows, struct slice name);
/* "client", or "client|list" in one word. */
const struct command *command_by_full_name(struct slice name);
size_t command_count(const struct command *rows);
bool command_arity_ok(const struct command *row, size_t argc);

/* The row that argv asks for (a subcommand's when it has any); NULL: *error, in Redis's words without '-', was appended
 * to `error`. */
const struct command *command_resolve(const struct slice *argv, size_t argc, struct buf *error);

/* The ACL categories of a row, by index in command_categories. */
extern const char *const command_categories[];
extern const size_t command_category_count;
bool command_in_category(const struct command *row, size_t category);

/* Runs call->argv: finds the row, checks arity, login, access, subscribe mode, and calls the function. */
void command_run(struct call *call);
/* Runs also while CLIENT PAUSE holds others back. */
bool command_runs_paused(const struct slice *argv, size_t argc);
bool command_allowed(const struct command *row, int access); /* to a user of the file with this access */
/* The channels that a request names, argv + *first and *n of them; none: *n is 0. Returns whether they are patterns. */
bool command_channels(const struct command *row, size_t argc, size_t *first, size_t *n);

/* Replies with the lines of HELP, made from the rows. */
void command_help(struct call *call, const char *title, const struct command *rows);
/* The answer of stock where a subcommand's arguments are of the wrong number, but its row's arity was kept. */
void command_wrong_arity(struct call *call);
void command_syntax_error(struct call *call);

/* ---- the functions, by file ---- */

/* cmd_connection.c */
command_fn cmd_ping, cmd_auth, cmd_hello;
/* cmd_server.c */
command_fn cmd_role, cmd_shutdown;
/* cmd_info.c */
command_fn cmd_info;
/* pubsub.c */
command_fn cmd_subscribe, cmd_unsubscribe, cmd_psubscribe, cmd_punsubscribe, cmd_publish;
/* cmd_client.c */
command_fn cmd_client_id, cmd_client_getname, cmd_client_setname, cmd_client_setinfo, cmd_client_reply;
command_fn cmd_client_no_evict, cmd_client_pause, cmd_client_unpause, cmd_client_unblock, cmd_client_help;
/* cmd_client_list.c */
command_fn cmd_client_list, cmd_client_info, cmd_client_kill;
/* cmd_client_tracking.c */
command_fn cmd_client_tracking, cmd_client_trackinginfo, cmd_client_getredir, cmd_client_caching;
/* cmd_acl.c */
command_fn cmd_acl_whoami, cmd_acl_cat, cmd_acl_genpass, cmd_acl_dryrun, cmd_acl_no_file, cmd_acl_help;
/* cmd_acl_users.c */
command_fn cmd_acl_users, cmd_acl_list, cmd_acl_getuser, cmd_acl_deluser, cmd_acl_setuser;
/* cmd_acl_log.c */
command_fn cmd_acl_log;
/* cmd_command.c */
command_fn cmd_command, cmd_command_count, cmd_command_list, cmd_command_info, cmd_command_docs, cmd_command_getkeys;
command_fn cmd_command_help;
/* cmd_sentinel_views.c */
command_fn cmd_sentinel_masters, cmd_sentinel_master, cmd_sentinel_replicas, cmd_sentinel_sentinels, cmd_sentinel_myid;
command_fn cmd_sentinel_master_addr, cmd_sentinel_ckquorum, cmd_sentinel_info_cache, cmd_sentinel_help;
/* cmd_sentinel_cluster.c */
command_fn cmd_sentinel_clusters, cmd_sentinel_cluster;
/* cmd_sentinel_history.c */
command_fn cmd_sentinel_events, cmd_sentinel_history, cmd_sentinel_drill;
/* cmd_sentinel_hook.c */
command_fn cmd_sentinel_hook;
/* cmd_sentinel_reload.c */
command_fn cmd_sentinel_reload, cmd_sentinel_overrides, cmd_sentinel_ranking;
/* cmd_sentinel_votes.c */
command_fn cmd_sentinel_is_master_down, cmd_sentinel_ballot;
/* cmd_sentinel_changes.c */
command_fn cmd_sentinel_monitor, cmd_sentinel_remove, cmd_sentinel_set, cmd_sentinel_reset, cmd_sentinel_failover;
command_fn cmd_sentinel_flushconfig;
/* cmd_sentinel_config.c */
command_fn cmd_sentinel_config, cmd_sentinel_debug, cmd_sentinel_simulate, cmd_sentinel_pending_scripts;
command_fn cmd_sentinel_swapdb, cmd_sentinel_mapping;
/* cmd_sentinel_pause.c */
command_fn cmd_sentinel_pause, cmd_sentinel_resume, cmd_sentinel_pauses;

#endif
