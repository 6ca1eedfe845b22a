#include "sentineld/core/info.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* What can only be judged when the last line has been read. */
struct reading {
    struct sn_info *info;
    size_t cap_replicas;
    struct slice master_host;
    int64_t master_port;
    int64_t offset_as_replica, offset_as_master;
};

enum field_type { FIELD_RUN_ID, FIELD_NUMBER, FIELD_FLAG, FIELD_OTHER };

struct field {
    const char *name;
    size_t n; /* length of the name: most lines are told apart by it without being compared */
    enum field_type type;
    size_t at; /* in struct sn_info */
    void (*read)(struct reading *r, struct slice value);
};

void sn_info_init(struct sn_info *info)
{
    *info = (struct sn_info){
        .master_link_down_ms = -1,
        .priority = 100,
        .repl_offset = -1,
        .replica_announced = true,
        .second_offset = -1,
    };
}

void sn_info_free(struct sn_info *info)
{
    free(info->replicas);
    sn_info_init(info);
}

static void read_role(struct reading *r, struct slice value)
{
    if (slice_is(value, "master"))
        r->info->role = SN_ROLE_MASTER;
    else if (slice_is(value, "slave") || slice_is(value, "replica"))
        r->info->role = SN_ROLE_REPLICA;
    else
        r->info->role = SN_ROLE_UNKNOWN;
}

static void read_master_host(struct reading *r, struct slice value)
{
    r->master_host = value;
}

static void read_master_port(struct reading *r, struct slice value)
{
    if (!text_range(value, 1, 65535, &r->master_port))
        r->master_port = 0;
}

static void read_link_status(struct reading *r, struct slice value)
{
    r->info->master_link_up = slice_is(value, "up");
}

static void read_link_down_since(struct reading *r, struct slice value)
{
    int64_t seconds;
    bool said = text_range(value, 0, INT64_MAX / 1000, &seconds); /* -1 is a link that was never up */
    r->info->master_link_down_ms = said ? seconds * 1000 : -1;
}

static void read_offset_as_replica(struct reading *r, struct slice value)
{
    if (!text_range(value, 0, INT64_MAX, &r->offset_as_replica))
        r->offset_as_replica = -1;
}

static void read_offset_as_master(struct reading *r, struct slice value)
{
    if (!text_range(value, 0, INT64_MAX, &r->offset_as_master))
        r->offset_as_master = -1;
}

static void read_failover_state(struct reading *r, struct slice value)
{
    r->info->failover_known = true;
    r->info->failover_running = !slice_is(value, "no-failover");
}

#define ROW(name, type, at, read)             \
    {                                         \
        name, sizeof name - 1, type, at, read \
    }
#define RUN_ID(name, field) ROW(name, FIELD_RUN_ID, offsetof(struct sn_info, field), NULL)
#define NUMBER(name, field) ROW(name, FIELD_NUMBER, offsetof(struct sn_info, field), NULL)
#define FLAG(name, field) ROW(name, FIELD_FLAG, offsetof(struct sn_info, field), NULL)
#define OTHER(name, read) ROW(name, FIELD_OTHER, 0, read)

/* may_be_ours() has the first letters. */
static const struct field fields[] = {
    FLAG("async_loading", async_loading),
    FLAG("dataset_emptied", emptied),
    FLAG("loading", loading),
    OTHER("master_host", read_master_host),
    OTHER("master_port", read_master_port),
    OTHER("master_link_status", read_link_status),
    OTHER("master_link_down_since_seconds", read_link_down_since),
    FLAG("master_sync_in_progress", syncing),
    RUN_ID("master_sync_guarded", guarded),
    OTHER("master_repl_offset", read_offset_as_master),
    OTHER("master_failover_state", read_failover_state),
    RUN_ID("master_replid", replid),
    RUN_ID("master_replid2", replid2),
    OTHER("role", read_role),
    RUN_ID("run_id", run_id),
    FLAG("replica_announced", replica_announced),
    NUMBER("replica_priority", priority),
    OTHER("replica_repl_offset", read_offset_as_replica),
    OTHER("slave_repl_offset", read_offset_as_replica),
    NUMBER("slave_priority", priority),
    NUMBER("second_repl_offset", second_offset),
};

#define COUNT (sizeof fields / sizeof fields[0])

static const char zeros[] = "0000000000000000000000000000000000000000";

static void read_field(struct reading *r, const struct field *f, struct slice value)
{
    void *place = (char *)r->info + f->at;
    switch (f->type) {
    case FIELD_RUN_ID:
        if (slice_is(value, zeros) || !runid_parse(value, place))
            *(char *)place = '\0';
        break;
    case FIELD_NUMBER: text_i64(value, place); break;
    case FIELD_FLAG: *(bool *)place = !slice_is(value, "0"); break;
    case FIELD_OTHER: f->read(r, value); break;
    }
}

/* "ip=...,port=...,state=...,offset=...,lag=...", in any order and with more fields between. */
static void read_named_parts(struct slice value, struct slice *ip, struct slice *port, struct slice *state,
                             struct sn_info_replica *replica)
{
    while (value.p != NULL) {
        struct slice part = slice_cut(&value, ',');
        struct slice name = slice_cut(&part, '=');
        if (slice_is(name, "ip"))
            *ip = part;
        else if (slice_is(name, "port"))
            *port = part;
        else if (slice_is(name, "state"))
            *state = part;
        else if (slice_is(name, "offset") && !text_range(part, 0, INT64_MAX, &replica->offset))
            replica->offset = -1;
        else if (slice_is(name, "lag") && !text_range(part, 0, INT64_MAX, &replica->lag_s))
            replica->lag_s = -1;
    }
}

static void read_replica(struct reading *r, struct slice value)
{
    struct sn_info *info = r->info;
    struct sn_info_replica replica = {.offset = -1, .lag_s = -1};
    struct slice ip = {NULL, 0}, port = {NULL, 0}, state = {NULL, 0};
    int64_t port_number;
    if (info->nreplicas >= SN_INFO_REPLICAS_MAX)
        return;
    if (value.n > 0 && memchr(value.p, '=', value.n) != NULL) {
        read_named_parts(value, &ip, &port, &state, &replica);
    } else { /* Redis before 2.8: "ip,port,state" */
        ip = slice_cut(&value, ',');
        port = slice_cut(&value, ',');
        state = slice_cut(&value, ',');
    }
    if (!text_range(port, 1, 65535, &port_number) || !addr_set(&replica.addr, ip, port_number))
        return;
    replica.online = slice_is(state, "online");
    info->replicas = mem_grow(info->replicas, info->nreplicas, &r->cap_replicas, sizeof *info->replicas);
    info->replicas[info->nreplicas++] = replica;
}

/* "keys=<n>,..." */
static void read_database(struct reading *r, struct slice value)
{
    struct slice part = slice_cut(&value, ',');
    struct slice name = slice_cut(&part, '=');
    int64_t keys;
    if (slice_is(name, "keys") && text_range(part, 0, INT64_MAX - r->info->keys, &keys)) {
        r->info->keys += keys;
        r->info->keys_known = true;
    }
}

/* `name` is `prefix` and a number: "slave12", "db0". */
static bool is_numbered(struct slice name, const char *prefix, size_t prefix_n)
{
    if (name.n <= prefix_n || memcmp(name.p, prefix, prefix_n) != 0)
        return false;
    for (size_t i = prefix_n; i < name.n; i++)
        if (name.p[i] < '0' || name.p[i] > '9')
            return false;
    return true;
}

/* Most lines are known by their first letters to be none of ours: of some two hundred a dozen are left. */
static bool may_be_ours(struct slice line)
{
    if (line.n < 4)
        return false;
    char second = line.p[1], third = line.p[2];
    switch (line.p[0]) {
    case 'a': return second == 's';                  /* async_loading */
    case 'd': return second == 'b' || second == 'a'; /* db0, dataset_emptied */
    case 'l': return second == 'o';                  /* loading */
    case 'm': return second == 'a' && third == 's';  /* master_... */
    case 'r': return second != 'e' ? second == 'o' || second == 'u' /* role, run_id */ : third == 'p'; /* replica... */
    case 's': return second == 'l' || (second == 'e' && third == 'c'); /* slave..., second_repl_offset */
    default: return false;
    }
}

static void read_line(struct reading *r, struct slice line)
{
    if (line.p[0] == '#') { /* an empty data set has the section's title and no line in it */
        if (slice_is(slice_trim(line), "# Keyspace"))
            r->info->keys_known = true;
        return;
    }
    if (!may_be_ours(line))
        return;
    struct slice value = line;
    struct slice name = slice_cut(&value, ':');
    if (value.p == NULL)
        return;
    for (size_t i = 0; i < COUNT; i++) {
        if (fields[i].n == name.n && memcmp(fields[i].name, name.p, name.n) == 0) {
            read_field(r, &fields[i], value);
            return;
        }
    }
    if (is_numbered(name, "slave", 5) || is_numbered(name, "replica", 7))
        read_replica(r, value);
    else if (is_numbered(name, "db", 2))
        read_database(r, value);
}

bool sn_info_parse(struct sn_info *info, struct slice text)
{
    struct reading r = {.info = info, .offset_as_replica = -1, .offset_as_master = -1};
    while (text.n > 0) {
        struct slice line = slice_cut_line(&text);
        if (line.n > 0)
            read_line(&r, line);
    }
    if (info->role == SN_ROLE_REPLICA) {
        info->repl_offset = r.offset_as_replica;
        addr_set(&info->master, r.master_host, r.master_port);
    } else {
        info->repl_offset = r.offset_as_master;
    }
    if (info->nreplicas < r.cap_replicas) /* it is kept for long, and most masters have few */
        info->replicas = mem_array(info->replicas, info->nreplicas, sizeof *info->replicas);
    return info->role != SN_ROLE_UNKNOWN;
}
