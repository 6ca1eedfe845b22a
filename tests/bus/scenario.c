#include "tests/bus/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/bus/seed.h"

#define WORDS_MAX 16

struct stage {
    struct plan plan;
    struct world *world; /* NULL: before settle */
    enum recording recording;
    char *words[WORDS_MAX];
    int nwords;
    uint64_t promoted_before;
    struct node *asked_node;
    cl_token asked;
    bool side[MAX_NODES], other[MAX_NODES], one_way, is_cut;
    bool moved[WATCHED];   /* slots of the last migrate */
    struct happening kill; /* at the next grant */
    bool of_source, with_power;
    int64_t kill_us;
    char complaint[600];
};

static void complain(struct stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct stage *s, const char *fmt, ...)
{
    if (s->complaint[0] != '\0')
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->complaint, sizeof s->complaint, fmt, ap);
    va_end(ap);
}

static bool is(const struct stage *s, int i, const char *word)
{
    return i < s->nwords && strcmp(s->words[i], word) == 0;
}

static int64_t number(struct stage *s, int i)
{
    int64_t n = 0;
    if (i >= s->nwords || !text_i64(slice_of(s->words[i]), &n))
        complain(s, "word %d of the line must be a number", i + 1);
    return n;
}

/* The nodes of a word like n1,n4: those that have their place in `set`. Returns the first; NULL: it names none. */
static struct node *nodes(struct stage *s, int i, bool set[MAX_NODES])
{
    struct slice rest = slice_of(i < s->nwords ? s->words[i] : "");
    struct node *first = NULL;
    memset(set, 0, MAX_NODES * sizeof *set);
    while (rest.n > 0) {
        struct slice name = slice_cut(&rest, ',');
        uint64_t n;
        if (name.n < 2 || name.p[0] != 'n' || !text_u64((struct slice){name.p + 1, name.n - 1}, &n) || n < 1 ||
            n > (uint64_t)s->plan.nodes) {
            first = NULL;
            break;
        }
        set[n - 1] = true;
        first = first != NULL ? first : &s->world->nodes[n - 1];
    }
    if (first == NULL)
        complain(s, "word %d of the line must name nodes, n1 to n%d", i + 1, s->plan.nodes);
    return first;
}

static void settle(struct stage *s)
{
    int64_t within = s->nwords > 1 ? MS(number(s, 1)) : SECONDS(20);
    s->world = world_new(&s->plan, s->recording);
    if (!seed_form(s->world, within))
        complain(s, "the cluster does not form");
    s->promoted_before = s->world->counts[COUNT_PROMOTED];
}

static bool set_up(struct stage *s)
{
    struct plan *p = &s->plan;
    if (is(s, 0, "settle")) {
        settle(s);
    } else if (is(s, 0, "shards")) {
        p->masters = (int)number(s, 1);
        p->nodes = p->masters * (1 + (is(s, 2, "replicas") ? (int)number(s, 3) : 0));
        p->nodes += is(s, 4, "spare") ? (int)number(s, 5) : 0;
        if (p->masters < 1 || p->nodes > MAX_NODES)
            complain(s, "at most %d nodes", MAX_NODES);
    } else if (is(s, 0, "timeout")) {
        p->timeout_ms = number(s, 1);
    } else if (is(s, 0, "delay")) {
        p->delay_us = number(s, 1);
    } else if (is(s, 0, "seed")) {
        p->seed = (uint64_t)number(s, 1);
    } else if (is(s, 0, "same-epochs")) {
        p->same_epochs = true;
    } else if (is(s, 0, "part")) {
        p->full_coverage = false;
    } else {
        return false;
    }
    return true;
}

/* ---- what is done ---- */

static void change_cut(struct stage *s, bool cut)
{
    void (*change)(struct world *, int, int) = cut ? net_cut : net_mend;
    for (int a = 0; a < s->plan.nodes; a++)
        for (int b = 0; b < s->plan.nodes; b++) {
            if (!s->side[a] || !s->other[b] || a == b)
                continue;
            change(s->world, a, b);
            if (!s->one_way)
                change(s->world, b, a);
        }
    s->is_cut = cut;
}

static void cut_both(struct world *w, struct node *source, struct node *target)
{
    struct stage *s = w->watcher;
    w->migrations.drains = NULL;
    memset(s->side, 0, sizeof s->side);
    memset(s->other, 0, sizeof s->other);
    s->side[source->index] = s->other[target->index] = true;
    s->one_way = false;
    change_cut(s, true);
}

static void kill_now(struct world *w, struct happening *h)
{
    const struct stage *s = w->watcher;
    node_crash(w, &w->nodes[h->who], s->with_power);
}

static void kill_end(struct world *w, struct node *source, struct node *target)
{
    struct stage *s = w->watcher;
    w->migrations.grants = NULL;
    s->kill.who = s->of_source ? source->index : target->index;
    happen(&w->time, &s->kill, w->time.now_us + s->kill_us, kill_now);
}

static void migrate(struct stage *s)
{
    struct world *w = s->world;
    bool set[MAX_NODES];
    struct node *from = nodes(s, 1, set), *to = nodes(s, 2, set);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    int64_t left = number(s, 3);
    memset(s->moved, 0, sizeof s->moved);
    for (int i = 0; from != NULL && to != NULL && from->core != NULL && i < WATCHED && left > 0; i++) {
        if (!cl_owns_slot(from->core, w->migrations.ledger.watched[i]))
            continue;
        cl_bit_set(slots, w->migrations.ledger.watched[i]);
        s->moved[i] = true;
        left--;
    }
    if (left > 0) {
        complain(s, "it has not so many slots");
        return;
    }
    const struct asked *a = operator_migrate(w, from, to, slots);
    s->asked_node = from;
    s->asked = a != NULL ? a->token : 0;
}

/* What is to happen in the midst of the next migration. */
static bool of_migrations(struct stage *s)
{
    struct world *w = s->world;
    if (is(s, 0, "migrate")) {
        migrate(s);
    } else if (is(s, 0, "late-grants")) {
        w->migrations.grant_late_us = MS(number(s, 1));
    } else if (is(s, 0, "at-pause") && is(s, 1, "cut")) {
        w->migrations.drains = cut_both;
        w->watcher = s;
    } else if (is(s, 0, "at-grant") && (is(s, 1, "kill") || is(s, 1, "power-off"))) {
        w->migrations.grants = kill_end;
        w->watcher = s;
        s->with_power = is(s, 1, "power-off");
        s->of_source = is(s, 2, "source");
        s->kill_us = MS(number(s, 3));
        heap_node_init(&s->kill.at);
    } else {
        return false;
    }
    return true;
}

static bool to_nodes(struct stage *s)
{
    struct world *w = s->world;
    bool set[MAX_NODES];
    const char *what = s->words[0];
    static const char *const known[] = {"kill", "power-off", "start", "stop", "continue", "wipe"};
    size_t k = 0;
    while (k < sizeof known / sizeof *known && strcmp(known[k], what) != 0)
        k++;
    if (k == sizeof known / sizeof *known)
        return false;
    nodes(s, 1, set);
    for (int i = 0; i < s->plan.nodes && s->complaint[0] == '\0'; i++) {
        struct node *n = &w->nodes[i];
        if (!set[i])
            continue;
        switch (k) {
        case 0:
        case 1: node_crash(w, n, k == 1); break;
        case 2: node_start(w, n); break;
        case 3: node_stop(w, n); break;
        case 4: node_continue(w, n); break;
        default: node_wipe(w, n); break;
        }
    }
    return true;
}

static void command(struct stage *s)
{
    static const struct {
        const char *name;
        enum cl_verb verb;
    } verbs[] = {{"meet", CL_MEET_NODE},          {"forget", CL_FORGET}, {"replicate", CL_REPLICATE},
                 {"failover", CL_FAILOVER},       {"reset", CL_RESET},   {"bumpepoch", CL_BUMPEPOCH},
                 {"cancel", CL_CANCEL_MIGRATIONS}};
    struct world *w = s->world;
    bool set[MAX_NODES];
    struct node *n = nodes(s, 1, set), *other;
    struct asked *a = NULL;
    size_t k = 0;
    while (k < sizeof verbs / sizeof *verbs && !is(s, 2, verbs[k].name))
        k++;
    if (n == NULL || k == sizeof verbs / sizeof *verbs) {
        complain(s, "such a command is not known");
        return;
    }
    struct cl_command plain = {.verb = verbs[k].verb, .hard = is(s, 3, "hard")};
    switch (verbs[k].verb) {
    case CL_MEET_NODE:
    case CL_FORGET:
    case CL_REPLICATE:
        other = nodes(s, 3, set);
        if (other != NULL)
            a = plain.verb == CL_MEET_NODE ? operator_meet(w, n, other)
                                           : operator_on_node(w, n, plain.verb, &other->id);
        break;
    case CL_FAILOVER: a = operator_failover(w, n, is(s, 3, "force"), is(s, 3, "takeover")); break;
    default: a = node_ask(w, n, &plain); break;
    }
    s->asked_node = n;
    s->asked = a != NULL ? a->token : 0;
}

static bool answered(const struct stage *s, bool *ok)
{
    for (int i = 0; i < ASKED_MAX && s->asked != 0; i++)
        if (s->asked_node->asked[i].token == s->asked && s->asked_node->asked[i].answered) {
            *ok = s->asked_node->asked[i].ok;
            return true;
        }
    return false;
}

static void answer(struct stage *s)
{
    bool ok = false;
    for (int tries = 0; tries < 100 && !answered(s, &ok); tries++)
        world_run(s->world, s->world->time.now_us + MS(10));
    if (!answered(s, &ok))
        complain(s, "there is no answer");
    else if (ok != is(s, 1, "ok"))
        complain(s, "the answer is %s", ok ? "ok" : "an error");
}

static bool act(struct stage *s)
{
    struct world *w = s->world;
    if (is(s, 0, "run")) {
        world_run(w, w->time.now_us + MS(number(s, 1)));
    } else if (is(s, 0, "cut")) {
        if (s->is_cut)
            complain(s, "one cut at a time");
        nodes(s, 1, s->side);
        nodes(s, 3, s->other);
        s->one_way = is(s, 4, "one-way");
        if (s->complaint[0] == '\0')
            change_cut(s, true);
    } else if (is(s, 0, "mend")) {
        if (s->is_cut)
            change_cut(s, false);
    } else if (is(s, 0, "do")) {
        command(s);
    } else if (is(s, 0, "answer")) {
        answer(s);
    } else if (is(s, 0, "writes")) {
        w->writing = is(s, 1, "on");
    } else {
        return of_migrations(s) || to_nodes(s);
    }
    return true;
}

/* ---- what is expected ---- */

static bool is_master(const struct node *n)
{
    return n->core != NULL && cl_is_master(n->core) && n->core->me->nslots > 0 && n->data.master == -1;
}

static bool holds_slots(const struct stage *s, const struct node *n)
{
    for (int i = 0; i < WATCHED; i++)
        if (s->moved[i] && !client_may_write(s->world, n, i))
            return false;
    return true;
}

static bool last_job_is(const struct node *n, const char *state)
{
    struct cl_job_row row;
    size_t it = 0;
    return n->core != NULL && cl_next_job(n->core, &it, &row) && strcmp(cl_job_state_name(row.state), state) == 0;
}

static bool of_each(const struct stage *s, const char *what, const struct node *n, const struct node *other)
{
    if (strcmp(what, "master") == 0 || strcmp(what, "one-of") == 0)
        return is_master(n);
    if (strcmp(what, "ok") == 0)
        return n->core != NULL && cl_ok(n->core);
    if (strcmp(what, "down") == 0)
        return n->core != NULL && !cl_ok(n->core);
    if (strcmp(what, "holds") == 0)
        return holds_slots(s, n);
    if (strcmp(what, "success") == 0 || strcmp(what, "failed") == 0 || strcmp(what, "cancelled") == 0 ||
        strcmp(what, "paused") == 0 || strcmp(what, "streaming") == 0)
        return last_job_is(n, what);
    if (n->core == NULL || other == NULL)
        return false;
    if (strcmp(what, "knows") == 0)
        return cl_node_find(n->core, &other->id) != NULL;
    if (strcmp(what, "forgot") == 0)
        return cl_node_find(n->core, &other->id) == NULL;
    return !cl_is_master(n->core) && n->data.master == other->index && n->data.repl == REPL_UP;
}

/* Whether words[i..] hold now: a kind and the nodes that it is said of. */
static bool holds(struct stage *s, int i)
{
    static const char *const known[] = {"master",    "one-of", "ok",        "down",  "holds",  "success", "failed",
                                        "cancelled", "paused", "streaming", "knows", "forgot", "replica", "a-replica"};
    bool set[MAX_NODES], unused[MAX_NODES], all = true, any = false;
    size_t k = 0;
    while (k < sizeof known / sizeof *known && !is(s, i, known[k]))
        k++;
    if (k == sizeof known / sizeof *known) {
        complain(s, "nothing of that name can be expected");
        return true;
    }
    nodes(s, i + 1, set);
    const struct node *other = k >= 10 ? nodes(s, i + 2, unused) : NULL;
    for (int n = 0; n < s->plan.nodes && s->complaint[0] == '\0'; n++) {
        if (!set[n])
            continue;
        bool one = of_each(s, known[k], &s->world->nodes[n], other);
        all = all && one;
        any = any || one;
    }
    return is(s, i, "one-of") || is(s, i, "a-replica") ? any : all;
}

static bool expect(struct stage *s)
{
    struct world *w = s->world;
    if (is(s, 0, "wait")) {
        int64_t until = w->time.now_us + MS(number(s, 1));
        while (!holds(s, 2) && w->time.now_us < until && world_run(w, w->time.now_us + MS(1)))
            ;
        if (!holds(s, 2))
            complain(s, "that has not come about");
    } else if (is(s, 0, "still")) {
        if (!holds(s, 1))
            complain(s, "that is not so");
    } else if (is(s, 0, "never-promoted")) {
        if (w->counts[COUNT_PROMOTED] != s->promoted_before)
            complain(s, "%llu were promoted", (unsigned long long)(w->counts[COUNT_PROMOTED] - s->promoted_before));
    } else if (is(s, 0, "agree")) {
        if (!seed_agree(w, MS(number(s, 1)), "that"))
            complain(s, "they do not agree");
    } else if (is(s, 0, "lost")) {
        size_t lost = client_lost(w, 0, w->time.now_us);
        if (lost != (size_t)number(s, 1))
            complain(s, "%zu acknowledged writes are lost, of %zu", lost, w->migrations.ledger.n);
    } else {
        return false;
    }
    return true;
}

/* ---- files ---- */

static void split(struct stage *s, char *line)
{
    char *comment = strchr(line, '#'), *rest = NULL;
    if (comment != NULL)
        *comment = '\0';
    s->nwords = 0;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (s->nwords == WORDS_MAX) {
            complain(s, "more than %d words in one line", WORDS_MAX);
            return;
        }
        s->words[s->nwords++] = word;
    }
}

static void play_line(struct stage *s)
{
    if (s->nwords == 0)
        return;
    bool known = s->world == NULL ? set_up(s) : act(s) || expect(s);
    if (!known)
        complain(s, "nothing is called %s %s settle", s->words[0], s->world == NULL ? "before" : "after");
    if (s->world != NULL && s->world->violation != NULL) {
        s->complaint[0] = '\0';
        complain(s, "rule %s is broken: %s", s->world->rule, s->world->violation);
    }
}

static void begin(struct stage *s, enum recording recording)
{
    s->recording = recording;
    s->plan = (struct plan){.seed = 1,
                            .nodes = 3,
                            .masters = 3,
                            .timeout_ms = 1000,
                            .validity_factor = 10,
                            .migration_barrier = 1,
                            .repl_ping_ms = 10000,
                            .full_coverage = true,
                            .allow_migration = true,
                            .delay_us = 200,
                            .write_ms = 5,
                            .sync_ms = 50,
                            .lag_us = 5000};
}

static bool play(const char *path, FILE *f, enum recording recording)
{
    struct stage *s = mem_zalloc(sizeof *s);
    char line[500], name[200] = "", text[500] = "";
    int at = 0;
    begin(s, recording);
    while (s->complaint[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
        at++;
        if (line[0] == '#' && name[0] == '\0')
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 2, "\r\n"), line + 2);
        snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\r\n"), line);
        split(s, line);
        if (s->world != NULL && s->nwords > 0)
            RECORD(s->world, "-----", "%s", text);
        play_line(s);
    }
    if (s->world == NULL)
        complain(s, "the file ends without settle");
    bool held = s->complaint[0] == '\0';
    if (!held && s->world != NULL && s->world->record != NULL)
        record_print(s->world->record);
    printf("%-4s%s\n", held ? "ok" : "FAIL", name[0] != '\0' ? name : path);
    if (!held)
        printf("     %s:%d: %s: %s\n", path, at, text, s->complaint);
    if (s->world != NULL)
        world_free(s->world);
    free(s);
    return held;
}

int scenarios_play(int argc, char **argv)
{
    enum recording recording = RECORD_LAST_LINES;
    int passed = 0, failed = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            recording = RECORD_AT_ONCE;
            continue;
        }
        FILE *f = fopen(argv[i], "r");
        bool held = f != NULL && play(argv[i], f, recording);
        if (f == NULL)
            printf("FAIL %s: %s\n", argv[i], strerror(errno));
        else
            fclose(f);
        *(held ? &passed : &failed) += 1;
    }
    if (passed + failed == 0)
        printf("FAIL there are no scenarios\n");
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
