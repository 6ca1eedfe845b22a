/* What a scenario asserts. */
#include "tests/sim/stage.h"

#include <string.h>

#define SPREADS_WITHIN MS(100) /* a new configuration, from one supervisor to the others */

/* EVENT, or EVENT:TYPE: about a master, slave or sentinel. */
static size_t times_seen(const struct stage *s, const char *event, int super)
{
    size_t n = 0, length = strcspn(event, ":");
    const char *type = event[length] == ':' ? event + length + 1 : "";
    for (size_t i = 0; i < s->nseen; i++) {
        const struct seen *seen = &s->seen[i];
        n += strlen(seen->event) == length && strncmp(seen->event, event, length) == 0 &&
             strncmp(seen->type, type, strlen(type)) == 0 && (super < 0 || seen->super == super);
    }
    return n;
}

/* "by s2" from word i on, or -1: by anybody. */
static int by_whom(struct stage *s, int i)
{
    if (!word_is(s, i, "by"))
        return -1;
    const struct super *super = word_super(s, i + 1);
    return super != NULL ? super->index : -1;
}

static void wait(struct stage *s)
{
    struct world *w = s->world;
    int64_t end = w->now_us + MS(word_number(s, 1));
    int super = by_whom(s, 3);
    while (s->nwords > 2 && w->violation == NULL && times_seen(s, s->words[2], super) == 0) {
        if (w->now_us >= end) {
            complain(s, "it was not published");
            return;
        }
        world_run(w, w->now_us + 1000);
    }
}

static void never(struct stage *s)
{
    if (s->nwords < 2)
        complain(s, "which event?");
    else if (times_seen(s, s->words[1], by_whom(s, 2)) > 0)
        complain(s, "it was published");
}

static void times(struct stage *s)
{
    int64_t wanted = word_number(s, 1);
    size_t n = s->nwords > 2 ? times_seen(s, s->words[2], by_whom(s, 3)) : 0;
    if ((int64_t)n != wanted)
        complain(s, "it was published %zu times", n);
}

static void agree(struct stage *s)
{
    struct world *w = s->world;
    int64_t end = w->now_us + MS(word_number(s, 1));
    const char *why;
    while ((why = not_converged(w)) != NULL && world_run(w, w->now_us + MS(10)))
        if (w->now_us >= end) {
            complain(s, "%s", why);
            return;
        }
}

/* The first supervisor that takes another one for the master, or NULL. */
static const struct super *dissenter(const struct stage *s, const struct node *n, const struct sn_group **its)
{
    for (int i = 0; i < s->plan.supers; i++) {
        const struct super *super = &s->world->supers[i];
        *its = super->core != NULL ? sn_group_find(super->core, slice_of(s->world->groups[n->group].name)) : NULL;
        if (*its != NULL && !addr_eq(&(*its)->master->node->addr, &n->addr))
            return super;
    }
    return NULL;
}

static void master(struct stage *s)
{
    struct world *w = s->world;
    const struct node *n = word_node(s, 1);
    const struct sn_group *its;
    const struct super *other = NULL;
    int64_t end = w->now_us + SPREADS_WITHIN;
    while (n != NULL && (other = dissenter(s, n, &its)) != NULL && w->now_us < end && world_run(w, w->now_us + 1000))
        continue;
    if (other != NULL)
        complain(s, "for s%d it is %s", other->index + 1, addr_name(w, &its->master->node->addr));
}

static void role(struct stage *s)
{
    const struct node *n = word_node(s, 1);
    if (n != NULL && (n->master < 0) != word_is(s, 2, "master"))
        complain(s, "it is a %s", n->master < 0 ? "master" : "replica");
}

static void follows(struct stage *s)
{
    const struct node *n = word_node(s, 1), *m = word_node(s, 2);
    if (n != NULL && m != NULL && n->master != m->index)
        complain(s, "it %s%s", n->master < 0 ? "is a master" : "follows ", n->master < 0 ? "" : s->names[n->master]);
}

static void holds(struct stage *s)
{
    const struct node *n = word_node(s, 1);
    if (n == NULL)
        return;
    size_t lost = client_lost(s->world, n->group, n, 0, s->world->now_us);
    if (word_is(s, 2, "none") ? n->keys != 0 : lost != 0)
        complain(s, "it holds %lld keys, and lacks %zu acknowledged writes", (long long)n->keys, lost);
}

static void lost(struct stage *s)
{
    int64_t wanted = word_number(s, 1);
    size_t n = 0;
    for (int i = 0; i < s->plan.groups; i++)
        n += client_lost(s->world, i, true_master(s->world, i), 0, s->world->now_us);
    if ((int64_t)n != wanted)
        complain(s, "%zu are lost", n);
}

static void answer(struct stage *s)
{
    const struct operation *o = s->operation;
    if (o == NULL || !o->answered)
        complain(s, "nobody has answered");
    else if ((o->answer != SN_ANSWER_ERROR) != word_is(s, 1, "ok"))
        complain(s, "the answer was %s", o->answer == SN_ANSWER_ERROR ? o->text : "OK");
    else if (s->nwords > 2 && strncmp(o->text, s->words[2], strlen(s->words[2])) != 0)
        complain(s, "the answer was %s", o->text);
}

bool stage_expect(struct stage *s)
{
    static const struct {
        const char *word;
        void (*expect)(struct stage *);
    } table[] = {
        {"wait", wait}, {"never", never},     {"times", times}, {"agree", agree}, {"master", master},
        {"role", role}, {"follows", follows}, {"holds", holds}, {"lost", lost},   {"answer", answer},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (word_is(s, 0, table[i].word)) {
            table[i].expect(s);
            return true;
        }
    return false;
}
