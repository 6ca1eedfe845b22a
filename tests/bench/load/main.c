/* bench-load fill|write PORT[,PORT...] FIRST LAST DATABASES EACH BYTES [RATE [count]]
 *
 * fill sets EACH keys of BYTES bytes in each of the slots FIRST to LAST and each database, and ends. write sets such
 * keys by chance, RATE of them a second (with "count" every fourth write increments a counter instead), until its input
 * says otherwise: "mark" prints how long writes took since the last mark, "stop" ends the writing, asks for all
 * counters, and prints how many are not what was acknowledged. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/store/keyspace.h"
#include "tests/bench/load/load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_US 1000
#define UNANSWERED_MOST 2048 /* where nothing bounds the rate */
#define PATIENCE_US 60000000
#define DB_MAX 255

int64_t load_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void load_fail(const char *what)
{
    fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what is asked for ---- */

static void usage(void)
{
    fprintf(stderr, "bench-load fill|write PORT[,PORT...] FIRST LAST DATABASES EACH BYTES [RATE [count]]\n");
    exit(2);
}

static int number(const char *text, int64_t least, int64_t most)
{
    int64_t n;
    if (!text_range(slice_of(text), least, most, &n))
        usage();
    return (int)n;
}

static void read_options(struct load_options *o, int argc, char **argv)
{
    if (argc < 8)
        usage();
    struct slice ports = slice_of(argv[2]);
    while (ports.n > 0 && o->nodes < LOAD_NODES_MAX) {
        char *port = slice_dup(slice_cut(&ports, ','));
        o->ports[o->nodes++] = number(port, 1, 65535);
        free(port);
    }
    o->slot_first = number(argv[3], 0, ND_SLOTS - 1);
    o->slots = number(argv[4], o->slot_first, ND_SLOTS - 1) - o->slot_first + 1;
    o->databases = number(argv[5], 1, DB_MAX);
    o->each = number(argv[6], 1, 1000000);
    o->bytes = (size_t)number(argv[7], 1, 1000000);
    o->rate = argc > 8 ? number(argv[8], 0, 10000000) : 0;
    o->counting = argc > 9 && strcmp(argv[9], "count") == 0;
}

/* A short {tag} for each slot, by trying. */
static void find_tags(struct load *l)
{
    int missing = l->o.slots;
    l->tags = mem_zalloc((size_t)l->o.slots * sizeof *l->tags);
    for (unsigned i = 0; missing > 0; i++) {
        char tag[LOAD_TAG];
        snprintf(tag, sizeof tag, "{%u}", i);
        int slot = nd_key_slot(slice_of(tag)) - l->o.slot_first;
        if (slot < 0 || slot >= l->o.slots || l->tags[slot][0] != '\0')
            continue;
        memcpy(l->tags[slot], tag, sizeof tag);
        missing--;
    }
}

/* Text that does not compress well, as most of what is stored. */
static void make_values(struct load *l)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    l->value = mem_alloc(2 * l->o.bytes);
    for (size_t i = 0; i < 2 * l->o.bytes; i++)
        l->value[i] = letters[rng_below(&l->rng, sizeof letters - 1)];
}

/* ---- going on ---- */

/* Sends, waits for so long at most, and takes what has come. true: there is something to be read from our input. */
static bool exchange(struct load *l, int64_t wait_us, bool listen)
{
    struct pollfd fds[LOAD_NODES_MAX * DB_MAX + 1];
    size_t n = (size_t)l->o.nodes * (size_t)l->o.databases;
    for (size_t i = 0; i < n; i++) {
        load_flush(l, &l->links[i]);
        fds[i] = (struct pollfd){.fd = l->links[i].fd, .events = POLLIN};
        if (l->links[i].out.n > 0)
            fds[i].events |= POLLOUT;
    }
    fds[n] = (struct pollfd){.fd = listen ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    if (ppoll(fds, n + 1, &wait, NULL) < 0 && errno != EINTR)
        load_fail("waiting");
    for (size_t i = 0; i < n; i++)
        if ((fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0)
            load_read(l, &l->links[i]);
    return listen && fds[n].revents != 0;
}

/* Until all is answered. */
static void settle(struct load *l)
{
    int64_t end_us = load_now_us() + PATIENCE_US;
    while (l->outstanding > 0) {
        exchange(l, TICK_US, false);
        if (load_now_us() > end_us)
            load_fail("requests are not answered");
    }
}

static void fill(struct load *l)
{
    size_t keys = 0;
    for (int slot = 0; slot < l->o.slots; slot++) {
        for (int i = 0; i < l->o.each * l->o.databases; i++) {
            load_ask(l, (struct load_request){.due_us = load_now_us(),
                                              .number = (uint32_t)(i / l->o.databases),
                                              .slot = (uint16_t)slot,
                                              .db = (uint8_t)(i % l->o.databases)});
            keys++;
            while (l->outstanding >= UNANSWERED_MOST)
                exchange(l, TICK_US, false);
        }
    }
    settle(l);
    printf("{\"keys\": %zu, \"errors\": %llu, \"error\": \"%s\"}\n", keys, (unsigned long long)l->errors, l->error);
}

static void show(struct load *l, int64_t since_us)
{
    const struct times *t = &l->times;
    printf("{\"n\": %llu, \"seconds\": %.3f, \"p50_us\": %lld, \"p99_us\": %lld, \"max_us\": %lld, \"moved\": %llu, "
           "\"waiting\": %zu, \"errors\": %llu, \"error\": \"%s\"}\n",
           (unsigned long long)t->n, (double)(load_now_us() - since_us) / 1e6, (long long)times_share(t, 0.5),
           (long long)times_share(t, 0.99), (long long)t->most_us, (unsigned long long)l->moved, l->outstanding,
           (unsigned long long)l->errors, l->error);
    fflush(stdout);
    memset(&l->times, 0, sizeof l->times);
}

static void ask_by_chance(struct load *l, int64_t due_us)
{
    load_ask(l, (struct load_request){
                    .due_us = due_us,
                    .number = (uint32_t)rng_below(&l->rng, (uint64_t)l->o.each),
                    .slot = (uint16_t)rng_below(&l->rng, (uint64_t)l->o.slots),
                    .db = (uint8_t)rng_below(&l->rng, (uint64_t)l->o.databases),
                    .kind = l->o.counting && rng_below(&l->rng, 4) == 0 ? LOAD_COUNT : LOAD_SET,
                });
}

static void write_until_told(struct load *l)
{
    int64_t began_us = load_now_us(), marked_us = began_us, until_us = began_us, asked = 0;
    char word[16];
    for (;;) {
        int64_t now_us = load_now_us();
        for (; until_us <= now_us; until_us += TICK_US)
            for (; asked < (until_us - began_us) * l->o.rate / 1000000; asked++)
                ask_by_chance(l, until_us);
        if (!exchange(l, until_us - now_us, true))
            continue;
        if (fgets(word, sizeof word, stdin) == NULL || strcmp(word, "stop\n") == 0)
            return;
        show(l, marked_us);
        marked_us = load_now_us();
    }
}

static void ask_for_counts(struct load *l)
{
    int counters = l->o.slots * l->o.databases;
    for (int i = 0; i < counters; i++) {
        if (l->counts[i] == 0)
            continue;
        load_ask(l, (struct load_request){.slot = (uint16_t)(i / l->o.databases),
                                          .db = (uint8_t)(i % l->o.databases),
                                          .kind = LOAD_READ});
        while (l->outstanding >= UNANSWERED_MOST)
            exchange(l, TICK_US, false);
    }
    settle(l);
}

static void finish(struct load *l)
{
    uint64_t counters = 0, counted = 0;
    settle(l);
    ask_for_counts(l);
    for (int i = 0; i < l->o.slots * l->o.databases; i++) {
        counters += l->counts[i] > 0;
        counted += l->counts[i];
    }
    printf("{\"counters\": %llu, \"counted\": %llu, \"wrong\": %llu, \"moved\": %llu, \"errors\": %llu, "
           "\"error\": \"%s\"}\n",
           (unsigned long long)counters, (unsigned long long)counted, (unsigned long long)l->wrong,
           (unsigned long long)l->moved, (unsigned long long)l->errors, l->error);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    read_options(&l.o, argc, argv);
    rng_seed(&l.rng, 7);
    find_tags(&l);
    make_values(&l);
    l.owners = mem_zalloc((size_t)l.o.slots);
    l.counts = mem_zalloc((size_t)l.o.slots * (size_t)l.o.databases * sizeof *l.counts);
    load_open(&l);
    if (strcmp(argv[1], "fill") == 0) {
        fill(&l);
    } else {
        write_until_told(&l);
        finish(&l);
    }
    load_close(&l);
    free(l.owners);
    free(l.counts);
    free(l.tags);
    free(l.value);
    return 0;
}
