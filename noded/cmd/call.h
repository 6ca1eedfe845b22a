/* One run of one command: what its function sees, and how it answers.
 *
 * A function reads its arguments, answers through c->r (or nd_error()), changes the dataset through the store, and says
 * what it did: nd_changed() for each key that it changed. What the replicas and the log are to get is by default the
 * command as it came, when it changed anything; a command whose effect depends on time, chance or state says it in
 * other words (nd_effect_*). */
#ifndef CMD_CALL_H
#define CMD_CALL_H

#include "common/resp/reply.h"
#include "noded/cmd/command.h"
#include "noded/store/keyspace.h"

struct nd_engine;
struct nd_session;

struct nd_call {
    struct nd_engine *e;
    struct nd_session *s; /* never NULL: what runs by itself (expiry, a master's stream) has a session too */
    const struct nd_command *cmd;
    const struct nd_indexed *row; /* cmd's in the index (table.h) */
    struct nd_db *db;             /* selected */
    size_t argc;
    const struct slice *argv; /* argv[0] is the name; of a subcommand argv[0], argv[1] */
    struct reply *r;
    int64_t now_ms;         /* Unix time; the same for the whole command, and for all commands of a transaction */
    struct slice ready_key; /* set when a blocked command runs again because this key became ready; else p is NULL */
    void *ended;            /* set when it runs again because what it waited for (nd_block_outside) is over */
    /* What came of it; through the functions below. */
    int64_t dirty;
    bool failed; /* an error was answered */
    bool effect_said;
    bool blocked;      /* nd_block() was called */
    bool in_slot;      /* cluster mode: all of its keys are in one slot, as the gate has seen: */
    uint16_t slot;     /* this one */
    uint64_t redacted; /* passwords, which MONITOR and SLOWLOG must not show: nd_redact() */
};

/* Arguments not to be shown, a bit each; the last bit stands for all from there on. */
static inline void nd_redact(uint64_t *arguments, size_t i)
{
    *arguments |= (uint64_t)1 << (i < 63 ? i : 63);
}
static inline bool nd_is_redacted(uint64_t arguments, size_t i)
{
    return (arguments >> (i < 63 ? i : 63) & 1) != 0;
}

/* ---- answers beyond common/resp/reply.h ---- */
/* An error "CODE text", counted in INFO errorstats. */
void nd_error(struct nd_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nd_ok(struct nd_call *c);
void nd_wrong_type(struct nd_call *c);
void nd_syntax_error(struct nd_call *c); /* "ERR syntax error" */
void nd_no_key(struct nd_call *c);       /* "ERR no such key" */
void nd_not_integer(struct nd_call *c);  /* "ERR value is not an integer or out of range" */
void nd_arity_error(struct nd_call *c);  /* "ERR wrong number of arguments for '%s' command" */
void nd_unknown_subcommand(struct nd_call *c);
/* "ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP." */
void nd_subcommand_syntax(struct nd_call *c);
void nd_value_reply(struct nd_call *c, const struct nd_value *v); /* a string value as a bulk */
/* The HELP subcommand: lines from the rows of the subcommands. */
void nd_help(struct nd_call *c);

/* ---- arguments; each answers its error and returns false ---- */
bool nd_arg_i64(struct nd_call *c, size_t i, int64_t *out);
bool nd_arg_int(struct nd_call *c, size_t i, int64_t *out); /* of 32 bits, with the error that Redis has for it */
/* In [min, max]; error NULL: "ERR value is out of range", else the text with its code. */
bool nd_arg_range(struct nd_call *c, size_t i, int64_t min, int64_t max, int64_t *out, const char *error);
bool nd_arg_double(struct nd_call *c, size_t i, double *out,
                   const char *error); /* NULL: "ERR value is not a valid float" */
bool nd_arg_is(const struct nd_call *c, size_t i,
               const char *word); /* false also past the end; letters of either case */
/* A time to live: unit_ms 1 or 1000, from now or absolute. Gives Unix ms; refuses what overflows or is not positive
 * where positive_only, as "ERR invalid expire time in 'set' command". */
bool nd_arg_expire(struct nd_call *c, size_t i, int64_t unit_ms, bool absolute, bool positive_only, int64_t *out);
/* A timeout of a blocking command, seconds with a fraction: ms, 0 for ever. */
bool nd_arg_timeout(struct nd_call *c, size_t i, int64_t *ms);

/* ---- keys ---- */
enum nd_access {
    ND_PEEK,  /* neither counted as hit or miss nor touched: looks of the node itself */
    ND_LOOK,  /* counted as hit or miss, not touched: EXISTS, TTL, TYPE, OBJECT */
    ND_READ,  /* counted as hit or miss, its age touched */
    ND_CHANGE /* touched, not counted */
};
/* On a master a key that has expired is deleted first, with event and effect; a replica hides it and waits for its
 * master's word. */
/* NULL: not there, or expired. The entry is good until the key changes. */
struct nd_entry *nd_lookup(struct nd_call *c, struct slice key, enum nd_access access);
struct nd_entry *nd_lookup_in(struct nd_call *c, struct nd_db *db, struct slice key, enum nd_access access);
/* The same for a key that must hold `type` if it is there: false: it holds another, WRONGTYPE was answered. */
bool nd_typed(struct nd_call *c, struct slice key, enum nd_type type, enum nd_access access, struct nd_entry **out);
/* A new key (nd_db_add): wakes who waits for it. */
struct nd_entry *nd_add_key(struct nd_call *c, struct slice key, struct nd_value value);
struct nd_entry *nd_add_key_in(struct nd_call *c, struct nd_db *db, struct slice key, struct nd_value value,
                               int64_t expire_ms);
/* A string for a key that is there (old: just found) or not: nd_db_set_string() with all that belongs to a new key. */
struct nd_entry *nd_put_string(struct nd_call *c, struct nd_entry *old, struct slice key, struct slice bytes,
                               bool try_number, int64_t expire_ms);
/* Deletes (lazily when lazy) without event and without nd_changed(). */
void nd_delete(struct nd_call *c, struct nd_db *db, struct nd_entry *e, bool lazy);
/* An aggregate that may have become empty: deletes it with the event "del". true: it is gone. */
bool nd_drop_if_empty(struct nd_call *c, struct nd_entry *e);

/* ---- what was done ---- */
/* `n` changes to this key: counted as dirty, watchers are told. n may be 0: only watchers. */
void nd_changed(struct nd_call *c, struct slice key, int64_t n);
void nd_changed_in(struct nd_call *c, struct nd_db *db, struct slice key, int64_t n);
void nd_dirty(struct nd_call *c, int64_t n); /* changes that belong to no key (FLUSHALL) */
/* Keyspace event; classes in notify.h. */
void nd_notify(struct nd_call *c, int class, const char *event, struct slice key);
void nd_notify_in(struct nd_call *c, int class, const char *event, struct slice key, struct nd_db *db);
/* Whoever blocks on this key of this type is to be served after the command (a push to a list that was there too). */
void nd_ready(struct nd_call *c, struct slice key, enum nd_type type);

/* ---- its effect in other words ---- */
void nd_effect_none(struct nd_call *c);                                   /* nothing is told */
void nd_effect(struct nd_call *c, size_t argc, const struct slice *argv); /* instead; may be called again: also this */
void nd_effect_in(struct nd_call *c, int db, size_t argc, const struct slice *argv);
void nd_effect_key(struct nd_call *c, const char *command,
                   struct slice key); /* "DEL", "UNLINK", "PERSIST", "LPOP" ... */

/* ---- waiting ---- */
/* The client waits until one of the keys becomes ready with `type`, or timeout_ms (0: for ever) has passed; then the
 * same command runs again with c->ready_key, which alone it serves; if it finds nothing there it calls nd_block() again
 * and keeps its place. Inside MULTI (nd_may_block() is false) answer as after a timeout. Answer nothing when you block.
 * at_timeout writes the answer of a timeout. */
bool nd_may_block(const struct nd_call *c);
void nd_block(struct nd_call *c, enum nd_type type, const struct slice *keys, size_t n, int64_t timeout_ms,
              nd_command_fn *at_timeout);

#endif
