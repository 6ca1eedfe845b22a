/* sentineld.conf, read and checked. Values are the file's own: what was changed at run time is merged by the state. */
#ifndef SHELL_CONFIG_H
#define SHELL_CONFIG_H

#include "common/base/addr.h"
#include "common/base/runid.h"
#include "common/io/conf.h"
#include "common/io/log.h"
#include "sentineld/core/settings.h"

enum config_access { CONFIG_ACCESS_ALL, CONFIG_ACCESS_READ };

/* Which settings of a group its own block in the file gave (bit in config_group.given). */
enum config_given {
    CONFIG_GIVEN_QUORUM = 1 << 0,
    CONFIG_GIVEN_DOWN_AFTER = 1 << 1,
    CONFIG_GIVEN_FAILOVER_TIMEOUT = 1 << 2,
    CONFIG_GIVEN_PARALLEL_SYNCS = 1 << 3,
    CONFIG_GIVEN_REBOOT_DOWN_AFTER = 1 << 4,
    CONFIG_GIVEN_USER = 1 << 5,
    CONFIG_GIVEN_PASSWORD = 1 << 6,
    CONFIG_GIVEN_NOTIFICATION_SCRIPT = 1 << 7,
    CONFIG_GIVEN_RECONFIG_SCRIPT = 1 << 8,
    CONFIG_GIVEN_REBORN_EMPTY = 1 << 9,
    CONFIG_GIVEN_RENAME_COMMANDS = 1 << 10,
};

struct config_user {
    char *name, *password; /* password "": none is asked for */
    int access;            /* enum config_access */
};

struct config_peer {
    struct addr address;
    runid id;
};

struct config_group {
    char *name;
    struct addr master;
    struct sn_settings settings;
    uint32_t given; /* enum config_given */
    /* Read only while the state directory holds none. */
    int64_t config_epoch, leader_epoch;
    struct conf_addresses known_replicas;
    struct config_peer *known_sentinels;
    size_t known_sentinel_count;
};

/* A cluster: its shards are found from the seeds, and each is supervised as a group with these settings. */
struct config_cluster {
    char *name;
    struct conf_addresses seeds;
    struct sn_settings settings;
    int64_t lease_ms; /* 0: off */
};

enum config_on_error { CONFIG_ON_ERROR_CONTINUE, CONFIG_ON_ERROR_ABORT };

struct config_hook {
    struct conf_strings on, run; /* patterns of events; the program and its arguments */
    char *group;                 /* pattern of the groups whose events it gets; NULL: all events */
    int64_t timeout_ms, retries, retry_delay_ms;
    bool veto;
    int on_error; /* enum config_on_error */
};

struct sentineld_config {
    const char *base;             /* while it is read: what relative paths count from; NULL: the working directory */
    struct conf_addresses listen; /* IP literals, at least one */
    char *state_dir;              /* absolute */
    struct {
        char *host;   /* "" when found out */
        int64_t port; /* 0: the port of the first listen address */
    } announce;
    struct {
        int level;  /* enum io_log_level */
        char *file; /* absolute; "" for standard error */
    } log;
    struct conf_addresses supervisors; /* empty: discovered */
    size_t self;                       /* place of this daemon in supervisors; 0 when that is empty */
    struct config_user *users;         /* none in the file: "default", all, no password */
    size_t user_count;
    struct {
        int64_t quorum; /* 0: none given, and no supervisors to take the majority of */
        int64_t down_after_ms, failover_timeout_ms, parallel_syncs;
    } defaults;
    struct {
        int64_t max_age_days, max_mb;
    } history;
    bool deny_scripts_reconfig, resolve_hostnames, announce_hostnames;
    struct {
        char *user, *password;
    } peer_auth;
    runid id;              /* "" when not given */
    int64_t current_epoch; /* 0 when not given */
    struct config_group *groups;
    size_t group_count;
    struct config_cluster *clusters;
    size_t cluster_count;
    struct config_hook *hooks;
    size_t hook_count;
};

/* Reads and checks the file. NULL: problems->text has a line for everything that is wrong, problems->count how many.
 * The caller frees problems->text, and the result with config_free(). Nothing is opened, created or resolved. */
struct sentineld_config *config_load(const char *path, struct conf_problems *problems);
/* The same, with relative paths of the file counted from base, an absolute path. */
struct sentineld_config *config_load_from(const char *path, const char *base, struct conf_problems *problems);
/* The same from text; name stands for the file in messages. */
struct sentineld_config *config_parse(const char *name, struct slice text, struct conf_problems *problems);
void config_free(struct sentineld_config *c); /* NULL is allowed */

/* Of one hook. event: its name. group NULL: the event is tied to none. */
bool config_hook_wants(const struct config_hook *h, const char *event, const char *group);
void config_hook_copy(struct config_hook *to, const struct config_hook *from);
bool config_hook_same(const struct config_hook *a, const struct config_hook *b);
void config_hook_free(struct config_hook *h); /* what it owns */

/* What is wrong with a path in a script setting, relative ones counted from state_dir: NULL when it is an executable
 * file, otherwise a text that stays valid until errno's next use ("does not exist"). */
const char *config_script_fault(const char *state_dir, const char *path);

/* Whether a group may have this name (SENTINEL MONITOR too): 1-255 bytes without white space, control bytes, commas and
 * quotes, which would break the hello message and the lines of the event log. why: what is wrong. */
bool config_group_name_ok(struct slice name, const char **why);
/* The cluster whose shards have names like this one ("orders/..." for "orders"); NULL: none. */
const struct config_cluster *config_cluster_of(const struct sentineld_config *c, const char *group);

#endif
