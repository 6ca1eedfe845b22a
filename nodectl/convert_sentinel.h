/* A Redis sentinel.conf, understood. Only convert_sentinel*.c include it. */
#ifndef NODECTL_CONVERT_SENTINEL_H
#define NODECTL_CONVERT_SENTINEL_H

#include "nodectl/convert.h"

#include "common/base/runid.h"

struct found_rename {
    struct slice from, to;
};

struct found_peer {
    struct addr address;
    runid id;
};

/* Slices point into the directives. */
struct found_group {
    struct slice name;
    bool left_out; /* the name is not allowed here: every line of the group is named */
    struct addr master;
    int64_t quorum;
    int64_t down_after_ms, failover_timeout_ms, parallel_syncs, reboot_down_after_ms; /* -1: not given */
    int64_t config_epoch, leader_epoch;                                               /* -1: not given */
    struct slice user, password, notification_script, client_reconfig_script;
    const struct directive *user_at, *master_at;
    struct found_rename *renames;
    size_t rename_count;
    struct addr *replicas;
    size_t replica_count;
    struct found_peer *peers;
    size_t peer_count;
};

struct found_user {
    struct slice name, password;
    bool read_only;
};

/* What the file says of the user that everybody is who does not log in. */
enum found_default {
    DEFAULT_UNSAID, /* may do everything; requirepass is his password */
    DEFAULT_IN_USERS,
    DEFAULT_HASHED,     /* his password is a hash: what Redis itself writes, beside requirepass */
    DEFAULT_RESTRICTED, /* rules that sentineld does not have */
    DEFAULT_OFF,
};

struct found_sentinel {
    int64_t port;       /* -1: not given */
    struct addr *binds; /* ports unset */
    size_t bind_count;
    bool bind_given;
    struct slice dir, logfile, loglevel, requirepass, announce_ip, peer_user, peer_password;
    const struct directive *logfile_at, *announce_at, *peer_user_at;
    int64_t announce_port;                                            /* -1: not given */
    int deny_scripts_reconfig, resolve_hostnames, announce_hostnames; /* -1: not given */
    runid id;
    int64_t current_epoch; /* -1: not given */
    struct found_user *users;
    size_t user_count;
    enum found_default default_user;
    const struct directive *default_at;
    struct slice default_password; /* as his line has it; a hash keeps its '#' */
    struct found_group *groups;
    size_t group_count;
};

/* The directives of the server itself: everything that does not begin with "sentinel". */
void found_server_line(struct convert *c, struct found_sentinel *f, const struct directive *d);
/* `sentinel monitor` first, so that options may stand before it; then the rest. */
void found_monitor_line(struct convert *c, struct found_sentinel *f, const struct directive *d);
void found_sentinel_line(struct convert *c, struct found_sentinel *f, const struct directive *d);
/* What can be judged only when all is known. */
void found_check(struct convert *c, struct found_sentinel *f);
void found_free(struct found_sentinel *f);

/* false: not yes or no; the error is told. */
bool found_yes_no(struct convert *c, const struct directive *d, size_t word, int *out);

#endif
