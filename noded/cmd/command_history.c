/* What became of commands since they were there, as far as it can be seen from outside: COMMAND DOCS shows it. */
#include "noded/cmd/command_row.h"

#include <stdlib.h>
#include <string.h>

/* In order of name. */
static const struct nd_command_past rows[] = {
    {.name = "auth", .changes = "6.0.0: It takes a user name too."},
    {.name = "bgsave", .changes = "3.2.2: SCHEDULE."},
    {.name = "bitcount", .changes = "7.0.0: Positions may count bits."},
    {.name = "bitpos", .changes = "7.0.0: Positions may count bits."},
    {.name = "blpop", .changes = "6.0.0: The timeout may have a fraction."},
    {.name = "brpop", .changes = "6.0.0: The timeout may have a fraction."},
    {.name = "brpoplpush",
     .deprecated_since = "6.2.0",
     .replaced_by = "BLMOVE with RIGHT and LEFT",
     .changes = "6.0.0: The timeout may have a fraction."},
    {.name = "bzpopmax", .changes = "6.0.0: The timeout may have a fraction."},
    {.name = "bzpopmin", .changes = "6.0.0: The timeout may have a fraction."},
    {.name = "client|kill",
     .changes = "2.8.12: Filters.; 2.8.12: The filter ID.; 3.2.0: The type MASTER.; 5.0.0: The type REPLICA, which "
                "SLAVE still means.; 6.2.0: The filter LADDR."},
    {.name = "client|list",
     .changes = "2.8.12: The field id.; 5.0.0: The filter TYPE.; 6.0.0: The field user.; 6.2.0: The fields argv-mem, "
                "tot-mem, laddr and redir, and the filter ID.; 7.0.0: The fields resp, multi-mem, rbs and rbp.; 7.0.3: "
                "The field ssub."},
    {.name = "client|pause", .changes = "6.2.0: Only writes may be paused."},
    {.name = "cluster|meet", .changes = "4.0.0: It takes the port of the bus."},
    {.name = "cluster|slaves", .deprecated_since = "5.0.0", .replaced_by = "CLUSTER REPLICAS"},
    {.name = "cluster|slots",
     .deprecated_since = "7.0.0",
     .replaced_by = "CLUSTER SHARDS",
     .changes = "4.0.0: It shows the nodes' ids.; 7.0.0: It shows more of how to reach them."},
    {.name = "command|info", .changes = "7.0.0: Without a name it shows all commands."},
    {.name = "config|get", .changes = "7.0.0: It takes several patterns."},
    {.name = "config|set", .changes = "7.0.0: It sets several parameters at once."},
    {.name = "debug", .of_system = true},
    {.name = "exists", .changes = "3.0.3: It takes several keys."},
    {.name = "expire", .changes = "7.0.0: NX, XX, GT and LT."},
    {.name = "expireat", .changes = "7.0.0: NX, XX, GT and LT."},
    {.name = "flushall", .changes = "4.0.0: ASYNC.; 6.2.0: SYNC."},
    {.name = "flushdb", .changes = "4.0.0: ASYNC.; 6.2.0: SYNC."},
    {.name = "getset", .deprecated_since = "6.2.0", .replaced_by = "SET with GET"},
    {.name = "hdel", .changes = "2.4.0: It takes several fields."},
    {.name = "hello", .changes = "6.2.0: Without a version it only tells of the connection."},
    {.name = "hmset", .deprecated_since = "4.0.0", .replaced_by = "HSET, which takes several fields"},
    {.name = "hset", .changes = "4.0.0: It takes several fields."},
    {.name = "info", .changes = "7.0.0: It takes several sections."},
    {.name = "lpop", .changes = "6.2.0: A count."},
    {.name = "lpush", .changes = "2.4.0: It takes several elements."},
    {.name = "lpushx", .changes = "4.0.0: It takes several elements."},
    {.name = "migrate", .changes = "3.0.0: COPY and REPLACE.; 3.0.6: KEYS.; 4.0.7: AUTH.; 6.0.0: AUTH2."},
    {.name = "pexpire", .changes = "7.0.0: NX, XX, GT and LT."},
    {.name = "pexpireat", .changes = "7.0.0: NX, XX, GT and LT."},
    {.name = "pttl", .changes = "2.8.0: It tells a missing key from one without a time to live."},
    {.name = "renamenx", .changes = "3.2.0: A key may be renamed to its own name."},
    {.name = "replconf", .of_system = true},
    {.name = "restore", .changes = "3.0.0: REPLACE.; 5.0.0: ABSTTL.; 5.0.0: IDLETIME and FREQ."},
    {.name = "restore-asking",
     .changes = "3.0.0: REPLACE.; 5.0.0: ABSTTL.; 5.0.0: IDLETIME and FREQ.",
     .of_system = true},
    {.name = "rpop", .changes = "6.2.0: A count."},
    {.name = "rpoplpush", .deprecated_since = "6.2.0", .replaced_by = "LMOVE with RIGHT and LEFT"},
    {.name = "rpush", .changes = "2.4.0: It takes several elements."},
    {.name = "rpushx", .changes = "4.0.0: It takes several elements."},
    {.name = "sadd", .changes = "2.4.0: It takes several members."},
    {.name = "scan", .changes = "6.0.0: TYPE."},
    {.name = "set",
     .changes =
         "2.6.12: EX, PX, NX and XX.; 6.0.0: KEEPTTL.; 6.2.0: GET, EXAT and PXAT.; 7.0.0: NX and GET go together."},
    {.name = "shutdown", .changes = "7.0.0: NOW, FORCE and ABORT."},
    {.name = "slaveof", .deprecated_since = "5.0.0", .replaced_by = "REPLICAOF"},
    {.name = "slowlog|get", .changes = "4.0.0: It shows address, port and name of the client."},
    {.name = "spop", .changes = "3.2.0: A count."},
    {.name = "srandmember", .changes = "2.6.0: A count."},
    {.name = "srem", .changes = "2.4.0: It takes several members."},
    {.name = "substr", .deprecated_since = "2.0.0", .replaced_by = "GETRANGE"},
    {.name = "ttl", .changes = "2.8.0: It tells a missing key from one without a time to live."},
    {.name = "zadd", .changes = "2.4.0: It takes several members.; 3.0.2: XX, NX, CH and INCR.; 6.2.0: GT and LT."},
    {.name = "zrange", .changes = "6.2.0: REV, BYSCORE, BYLEX and LIMIT."},
    {.name = "zrangebylex", .deprecated_since = "6.2.0", .replaced_by = "ZRANGE with BYLEX"},
    {.name = "zrangebyscore",
     .deprecated_since = "6.2.0",
     .replaced_by = "ZRANGE with BYSCORE",
     .changes = "2.0.0: WITHSCORES."},
    {.name = "zrem", .changes = "2.4.0: It takes several members."},
    {.name = "zrevrange", .deprecated_since = "6.2.0", .replaced_by = "ZRANGE with REV"},
    {.name = "zrevrangebylex", .deprecated_since = "6.2.0", .replaced_by = "ZRANGE with REV and BYLEX"},
    {.name = "zrevrangebyscore",
     .deprecated_since = "6.2.0",
     .replaced_by = "ZRANGE with REV and BYSCORE",
     .changes = "2.1.6: The bounds may be exclusive."},
};

static int by_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct nd_command_past *)row)->name);
}

const struct nd_command_past *nd_command_past(const char *full_name)
{
    return bsearch(full_name, rows, sizeof rows / sizeof rows[0], sizeof rows[0], by_name);
}
