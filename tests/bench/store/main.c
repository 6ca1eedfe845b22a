/* Bytes and nanoseconds of the node's keyspace alone, without a server around it: a million keys of 16 bytes with
 * values of 32, in one database, spread over 16, and over the slots of a cluster node. */
#include "common/base/mem.h"
#include "noded/store/keyspace.h"
#include "noded/store/string.h"

#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 1000000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* not what others do meanwhile */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t resident(void)
{
    size_t all = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%zu %zu", &all, &pages) != 2)
        abort();
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t allocated(void)
{
    uint64_t epoch = 1;
    size_t bytes = 0, n = sizeof bytes;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    if (mallctl("stats.allocated", &bytes, &n, NULL, 0) != 0)
        abort();
    return bytes;
}

static struct slice key_text(char text[32], uint64_t i)
{
    return (struct slice){text, (size_t)snprintf(text, 32, "key:%012llu", (unsigned long long)i)};
}

struct store {
    struct nd_keyspace k;
    int dbs;
    char keys[KEYS][16];
};

static void pass(const char *what, double started, size_t n)
{
    printf("  %-28s %6.0f ns\n", what, (now_ns() - started) / (double)n);
}

static struct nd_db *db_of(struct store *s, size_t i)
{
    return nd_keyspace_db(&s->k, (int)(i % (size_t)s->dbs));
}

static struct slice key_at(const struct store *s, size_t i)
{
    return (struct slice){s->keys[i], 16};
}

static void fill(struct store *s, const char *name)
{
    static const char value[33] = "abcdefghijklmnopqrstuvwxyz012345";
    size_t rss = resident(), bytes = allocated();
    double started = now_ns();
    for (size_t i = 0; i < KEYS; i++) {
        struct nd_db *db = db_of(s, i);
        nd_db_set_string(db, nd_db_find(db, key_at(s, i)), key_at(s, i), (struct slice){value, 32}, true, ND_NO_EXPIRE);
    }
    double ended = now_ns();
    size_t tables = 0;
    for (int d = 0; d < s->dbs; d++)
        tables += nd_db_table_memory(nd_keyspace_db(&s->k, d), false);
    printf("%s: %.1f bytes a key allocated, %.1f resident, %.1f of them tables\n", name,
           (double)(allocated() - bytes) / KEYS, (double)(resident() - rss) / KEYS, (double)tables / KEYS);
    printf("  %-28s %6.0f ns\n", "set, new", (ended - started) / KEYS);
}

static void ask(struct store *s, struct rng *rng)
{
    size_t found = 0;
    char text[32];
    double started = now_ns();
    for (size_t i = 0; i < KEYS; i++) {
        size_t at = rng_below(rng, KEYS);
        found += nd_db_find(db_of(s, at), key_at(s, at)) != NULL;
    }
    pass("find, there", started, KEYS);
    started = now_ns();
    for (size_t i = 0; i < KEYS; i++) {
        s->keys[i][0] = 'K';
        found += nd_db_find(db_of(s, i), key_at(s, i)) != NULL;
        s->keys[i][0] = 'k';
    }
    pass("find, not there", started, KEYS);
    started = now_ns();
    for (size_t i = 0; i < KEYS; i++) {
        struct nd_db *db = db_of(s, i);
        nd_db_set_string(db, nd_db_find(db, key_at(s, i)), key_at(s, i), key_text(text, i), true, ND_NO_EXPIRE);
    }
    pass("set, all to another length", started, KEYS);
    started = now_ns();
    for (size_t i = 0; i < KEYS; i++) {
        size_t at = rng_below(rng, KEYS);
        struct nd_db *db = db_of(s, at);
        nd_db_set_string(db, nd_db_find(db, key_at(s, at)), key_at(s, at), key_text(text, i), true, ND_NO_EXPIRE);
    }
    pass("set, there, same length", started, KEYS);
    if (found != KEYS)
        abort();
}

static void run(const char *name, int dbs, bool slots)
{
    static const uint64_t seed[2] = {0x5eed, 0x600d};
    struct store *s = mem_alloc(sizeof *s);
    struct rng rng;
    char text[32];
    rng_seed(&rng, 1);
    s->dbs = dbs;
    for (size_t i = 0; i < KEYS; i++)
        memcpy(s->keys[i], key_text(text, i * 7919 % 999999937).p, 16);
    nd_keyspace_init(&s->k, dbs, slots, seed);
    fill(s, name);
    ask(s, &rng);
    double started = now_ns();
    for (size_t i = 0; i < KEYS; i++)
        nd_db_delete(db_of(s, i), nd_db_find(db_of(s, i), key_at(s, i)));
    pass("find and delete", started, KEYS);
    nd_keyspace_free(&s->k);
    free(s);
}

int main(void)
{
    static const struct {
        const char *name;
        int dbs;
        bool slots;
    } rows[] = {{"one database", 1, false}, {"16 databases", 16, false}, {"16,384 slots", 1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* One to a process, else the second would find memory that the first gave back. */
        int status = 0;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            run(rows[i].name, rows[i].dbs, rows[i].slots);
            fflush(stdout);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    return 0;
}
