/* An engine without a program around it: its host remembers what it is asked for, its clock stands still until the test
 * moves it, and a second engine is fed nothing but the effects of the first. */
#ifndef UNIT_ENGINE_FIXTURE_H
#define UNIT_ENGINE_FIXTURE_H

#include "noded/cmd/engine.h"

#define FIXTURE_CLIENTS 64

struct fixture;

/* A client with what was written for it. */
struct client {
    struct fixture *f;
    struct nd_session *s;
    struct buf out;
    enum nd_ran ran; /* what its last request came to */
    int wakes, resumes, kills;
};

struct fixture {
    struct nd_engine *e;
    struct nd_config config;
    struct client clients[FIXTURE_CLIENTS]; /* [0] is there from the beginning */
    size_t client_count;
    int64_t unix_ms, mono_us;
    struct buf effects; /* a line each: "0 SET a 1"; a unit of several between "{" and "}" */
    struct buf log;
    size_t memory_used;     /* what the host says; maxmemory tests set it */
    size_t memory_per_key;  /* added for each key that is there */
    size_t released;        /* values and databases freed by the host */
    struct nd_engine *copy; /* follows the effects */
    struct nd_session *copy_session;
    struct buf copy_out;
    size_t copied;                                                         /* effects so far */
    const struct nd_migrate_spec *migrating;                               /* the last that MIGRATE asked for */
    void (*also)(void *owner, const struct nd_effect_row *rows, size_t n); /* is told the effects too; NULL: nobody */
    void *also_owner;
};

/* Settings are the defaults; a test may change f->e->config at any time. */
struct fixture *fixture_new(void);
struct fixture *fixture_new_with(const struct nd_config *config);
struct fixture *fixture_new_extended(const struct nd_config *config, const struct nd_extension *more);
void fixture_free(struct fixture *f);

/* The answer to one command, written as in redis-cli ("SET a \"b c\\x00\""). Good until the client's next one. */
const char *run(struct fixture *f, const char *command);
const char *run_words(struct fixture *f, size_t argc, const struct slice *argv);

struct client *fixture_client(struct fixture *f);
const char *client_run(struct client *c, const char *command);
const char *client_run_words(struct client *c, size_t argc, const struct slice *argv);
/* What was written for the client since it was looked at last. */
const char *client_read(struct client *c);
void client_close(struct client *c);

/* The effects since they were looked at last. */
const char *fixture_effects(struct fixture *f);
/* Time goes on, and the engine does what is due. */
void fixture_forward_ms(struct fixture *f, int64_t ms);

/* Fails the test unless the copy holds the same dataset. */
void fixture_assert_copied(struct fixture *f);
/* The dataset as text, keys in order, for messages and comparisons. The caller frees. */
char *fixture_dataset(struct nd_engine *e);

#endif
