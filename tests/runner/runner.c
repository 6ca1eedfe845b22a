#include "tests/runner/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/text.h"

#define JOBS_MAX 64
#define TWICE_EVERY 50   /* of so many seeds one is run twice, to see that it repeats itself */
#define SEED_LIMIT_S 120 /* of processor time: a core that never returns from a step ends its seed here */

struct options {
    uint64_t seeds, seed;
    bool seed_given, verbose, survey;
    int jobs;
};

struct job {      /* shared with the process that does it */
    uint64_t now; /* the seed that runs, or ran last */
    uint64_t done, failed;
    bool broken, differs;
    uint64_t counts[RUN_COUNTS_MAX];
};

static const char usage[] = "usage: %s --seeds N [--seed X] [--jobs J] [--survey | --verbose]\n"
                            "       %s --scenarios [--verbose] FILE...\n";

static uint64_t draw_seed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((uint64_t)t.tv_nsec ^ (uint64_t)t.tv_sec << 20 ^ (uint64_t)getpid()) % 1000000000;
}

static bool number(const char *text, uint64_t *out)
{
    return text != NULL && text_u64(slice_of(text), out);
}

static bool read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){.jobs = 1};
    for (int i = 1; i < argc; i++) {
        uint64_t jobs;
        if (strcmp(argv[i], "--seeds") == 0 && number(argv[++i], &o->seeds))
            continue;
        if (strcmp(argv[i], "--seed") == 0 && number(argv[++i], &o->seed)) {
            o->seed_given = true;
            continue;
        }
        if (strcmp(argv[i], "--jobs") == 0 && number(argv[++i], &jobs) && jobs >= 1 && jobs <= JOBS_MAX) {
            o->jobs = (int)jobs;
            continue;
        }
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--survey") == 0) {
            o->survey = true;
            continue;
        }
        return false;
    }
    return o->seeds >= 1;
}

static void work(const struct runner *r, struct job *j, const struct options *o, int index)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint64_t i = (uint64_t)index; i < o->seeds; i += (uint64_t)o->jobs) {
        struct outcome outcome, again;
        j->now = o->seed + i;
        const struct itimerval limit = {.it_value = {.tv_sec = SEED_LIMIT_S}};
        setitimer(ITIMER_PROF, &limit, NULL);
        r->seed(j->now, RECORD_NOTHING, &outcome);
        if (outcome.held && i % TWICE_EVERY == 0) {
            r->seed(j->now, RECORD_NOTHING, &again);
            if (again.hash != outcome.hash) {
                j->differs = true;
                _exit(1);
            }
        }
        for (int k = 0; k < r->ncounts; k++)
            j->counts[k] += outcome.counts[k];
        if (!outcome.held && !o->survey) {
            j->broken = true;
            _exit(1);
        }
        if (!outcome.held) {
            printf("seed %llu: %s: %s\n", (unsigned long long)j->now, outcome.rule, outcome.broken);
            fflush(stdout);
        }
        *(outcome.held ? &j->done : &j->failed) += 1;
    }
    fflush(stdout);
    _exit(0);
}

static void stop_all(const pid_t *pids, int n)
{
    for (int i = 0; i < n; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    for (int i = 0; i < n; i++)
        if (pids[i] > 0)
            waitpid(pids[i], NULL, 0);
}

/* Waits for all jobs. Returns the first that did not end well, or -1; *status says how it ended. */
static int wait_all(pid_t *pids, int n, int *status)
{
    for (int left = n; left > 0; left--) {
        pid_t pid;
        do
            pid = waitpid(-1, status, 0);
        while (pid < 0 && errno == EINTR);
        for (int i = 0; i < n; i++) {
            if (pids[i] != pid)
                continue;
            pids[i] = 0;
            if (*status != 0) {
                stop_all(pids, n);
                return i;
            }
        }
    }
    return -1;
}

static void explain(const struct runner *r, const struct job *j, int status, uint64_t tried)
{
    struct outcome outcome;
    unsigned long long seed = (unsigned long long)j->now;
    if (WIFSIGNALED(status)) {
        printf("seed %llu ended by signal %d (%s); %s --seeds 1 --seed %llu --verbose shows where\n", seed,
               WTERMSIG(status), WTERMSIG(status) == SIGPROF ? "it ran for too long" : strsignal(WTERMSIG(status)),
               r->name, seed);
        return;
    }
    if (j->differs) {
        printf("seed %llu, run twice, did two different things: a world must depend on nothing but its seed\n", seed);
        return;
    }
    r->seed(j->now, RECORD_LAST_LINES, &outcome);
    if (outcome.held)
        printf("seed %llu broke a rule and does not break it again: a world must depend on nothing but its seed\n",
               seed);
    else
        printf("violation of %s at seed %llu after %llu seeds; %s --seeds 1 --seed %llu --verbose shows all of it\n",
               outcome.rule, seed, (unsigned long long)tried, r->name, seed);
}

static bool print_counts(const struct runner *r, const uint64_t *counts, bool all)
{
    bool complete = true;
    for (int i = 0; i < r->ncounts; i++) {
        bool missing = all && r->counts[i].wanted && counts[i] == 0;
        printf("%12llu %s%s\n", (unsigned long long)counts[i], r->counts[i].words,
               missing ? "   <- never happened" : "");
        complete = complete && !missing;
    }
    if (!complete)
        printf("some kinds of things never happened: this run has not tested them\n");
    return complete;
}

static int run_seeds(const struct runner *r, const struct options *o)
{
    struct job *jobs = mmap(NULL, sizeof *jobs * (size_t)o->jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                            -1, 0);
    if (jobs == MAP_FAILED) {
        fprintf(stderr, "%s: no shared memory: %s\n", r->name, strerror(errno));
        return 2;
    }
    printf("seeds %llu to %llu, %d at a time\n", (unsigned long long)o->seed,
           (unsigned long long)(o->seed + o->seeds - 1), o->jobs);
    fflush(stdout);
    pid_t pids[JOBS_MAX] = {0};
    for (int i = 0; i < o->jobs; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            work(r, &jobs[i], o, i);
        if (pids[i] < 0) {
            fprintf(stderr, "%s: cannot start a job: %s\n", r->name, strerror(errno));
            stop_all(pids, i);
            return 2;
        }
    }
    int status = 0, broken = wait_all(pids, o->jobs, &status);
    uint64_t counts[RUN_COUNTS_MAX] = {0}, done = 0, failed = 0;
    for (int i = 0; i < o->jobs; i++) {
        done += jobs[i].done;
        failed += jobs[i].failed;
        for (int k = 0; k < r->ncounts; k++)
            counts[k] += jobs[i].counts[k];
    }
    if (broken >= 0)
        explain(r, &jobs[broken], status, done + 1);
    bool complete = print_counts(r, counts, broken < 0 && o->seeds >= r->all_from);
    failed += broken >= 0 || !complete;
    printf("%llu passed, %llu failed\n", (unsigned long long)done, (unsigned long long)failed);
    munmap(jobs, sizeof *jobs * (size_t)o->jobs);
    return failed > 0;
}

int runner_main(const struct runner *r, int argc, char **argv)
{
    struct options o;
    if (argc > 1 && strcmp(argv[1], "--scenarios") == 0)
        return r->scenarios(argc - 2, argv + 2);
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, usage, r->name, r->name);
        return 2;
    }
    if (!o.seed_given)
        o.seed = draw_seed();
    if (o.verbose && o.seeds == 1) {
        struct outcome outcome;
        r->seed(o.seed, RECORD_AT_ONCE, &outcome);
        printf("%d passed, %d failed\n", outcome.held, !outcome.held);
        return !outcome.held;
    }
    return run_seeds(r, &o);
}
