/* A command is a row: its name, arity, flags, keys, words of help, and the function. Each family has its rows beside
 * its functions (`const struct nd_command nd_list_commands[]`, ended by a row without a name); table.c puts them
 * together. What COMMAND, COMMAND DOCS, COMMAND GETKEYS and the README's table say comes from these rows and from
 * nothing else. */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include "common/base/bytes.h"

struct nd_call;
struct nd_engine;
typedef void nd_command_fn(struct nd_call *c);
/* Positions of keys that no key spec can say (SORT, MIGRATE): at most max are written; returns how many there are, -1
 * when the arguments make no sense. */
typedef int nd_keys_fn(const struct slice *argv, size_t argc, int *out, int max);
/* What this request does to the key at this position, as flags of a key spec; of a request that makes no sense too. */
typedef const char *nd_key_flags_fn(const struct slice *argv, size_t argc, int key);

/* Flags as COMMAND INFO names them. */
enum {
    ND_WRITE = 1 << 0,
    ND_READONLY = 1 << 1,
    ND_DENYOOM = 1 << 2,
    ND_ADMIN = 1 << 3,
    ND_PUBSUB = 1 << 4,
    ND_NOSCRIPT = 1 << 5,
    ND_BLOCKING = 1 << 6,
    ND_LOADING = 1 << 7,
    ND_STALE = 1 << 8,
    ND_SKIP_MONITOR = 1 << 9,
    ND_SKIP_SLOWLOG = 1 << 10,
    ND_ASKING = 1 << 11,
    ND_FAST = 1 << 12,
    ND_NO_AUTH = 1 << 13,
    ND_MAY_REPLICATE = 1 << 14,
    ND_NO_ASYNC_LOADING = 1 << 15,
    ND_NO_MULTI = 1 << 16,
    ND_MOVABLE_KEYS = 1 << 17,
    ND_ALLOW_BUSY = 1 << 18,
    ND_SUBSCRIBED = 1 << 19,      /* not Redis's: allowed in RESP2's subscribed state */
    ND_RUNS_IN_MULTI = 1 << 20,   /* not Redis's: run at once inside MULTI (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET) */
    ND_LONGER_IN_STREAM = 1 << 21 /* not Redis's: a master's stream and the log have a form with more arguments */
};

/* ACL categories, shown by COMMAND INFO. READ, WRITE, FAST/SLOW, ADMIN/DANGEROUS, PUBSUB and BLOCKING follow from the
 * flags as in Redis 7; a row names what does not follow. */
enum {
    ND_CAT_KEYSPACE = 1 << 0,
    ND_CAT_STRING = 1 << 1,
    ND_CAT_LIST = 1 << 2,
    ND_CAT_SET = 1 << 3,
    ND_CAT_SORTEDSET = 1 << 4,
    ND_CAT_HASH = 1 << 5,
    ND_CAT_BITMAP = 1 << 6,
    ND_CAT_CONNECTION = 1 << 7,
    ND_CAT_TRANSACTION = 1 << 8,
    ND_CAT_DANGEROUS = 1 << 9,
    ND_CAT_READ = 1 << 10,
    ND_CAT_WRITE = 1 << 11,
    ND_CAT_ADMIN = 1 << 12
};

/* Where keys are among the arguments. begin: `first` > 0 is a position; else the word `word` is looked for, from
 * position `first_from` on (negative: from the end backwards). find: the range first..last (negative last: from the
 * end), each `step`th; or, when keynum > 0, a count stands at begin + keynum - 1 and the keys begin at begin + keynum.
 * limit: 0 or 1 none, n: only the 1/n of what is left (as in Redis's key specs). */
struct nd_keyspec {
    const char *flags; /* "RO ACCESS", "RW UPDATE", "OW INSERT", ...; NULL ends the list */
    int first;
    const char *word;
    int first_from;
    int last; /* relative to begin */
    int step;
    int limit;
    int keynum; /* 1: count at begin, keys right behind it */
};
#define ND_KEYSPECS_MAX 3

struct nd_command {
    const char *name; /* lower case; of a subcommand the second word only */
    int arity;        /* as Redis counts; negative: at least */
    uint32_t flags, categories;
    nd_command_fn *run; /* NULL: only its subcommands can be run */
    struct nd_keyspec keys[ND_KEYSPECS_MAX];
    const struct nd_command *subs; /* ended by a row without a name; NULL: none */
    /* Help: syntax without the name, as a user reads it: "key value [NX | XX] [GET] [EX seconds | PX milliseconds]".
     * The arguments of COMMAND DOCS are read from it. */
    const char *syntax;
    const char *summary;
    const char *since, *group, *complexity; /* group: "string", "list", "generic", "connection", ... */
    const char *tips;                       /* "nondeterministic_output", ...; space between; NULL none */
    nd_keys_fn *find_keys;                  /* instead of the specs, for COMMAND GETKEYS; NULL: the specs say it all */
    nd_key_flags_fn *key_flags;             /* for COMMAND GETKEYSANDFLAGS, where options decide; NULL: the specs' */
};

/* The engine holds the index of all rows (table.c); rows themselves are constant. */

/* The command that the words name: a subcommand's row when the first word has subcommands and there is a second;
 * *parent (may be NULL) its row. NULL: unknown (*parent non-NULL: the subcommand is). */
const struct nd_command *nd_command_find(const struct nd_engine *e, const struct slice *argv, size_t argc,
                                         const struct nd_command **parent);
/* The row that a full name stands for: "get", "client", "client|list". NULL: unknown. */
const struct nd_command *nd_command_named(const struct nd_engine *e, struct slice name);
/* Rows in order of name, for COMMAND. NULL behind the last. */
const struct nd_command *nd_command_at(const struct nd_engine *e, size_t index);
/* Number of a row, dense from 0, subcommands included: statistics are arrays. */
size_t nd_command_number(const struct nd_engine *e, const struct nd_command *cmd);
size_t nd_command_numbers(const struct nd_engine *e);
const struct nd_command *nd_command_numbered(const struct nd_engine *e, size_t number);
const char *nd_command_full_name(const struct nd_engine *e, const struct nd_command *cmd); /* "client|list" */
/* Positions of the keys in argv. Returns how many there are (at most max are written); -1: the arguments do not fit the
 * specs. */
int nd_command_keys(const struct nd_command *cmd, const struct slice *argv, size_t argc, int *out, int max);

#endif
