#include "nodectl/slots/session.h"

#include "nodectl/slots/ask.h"
#include "nodectl/slots/known.h"

#include <stdio.h>
#include <string.h>

int session_read(struct session *s, const struct command_call *call)
{
    *s = (struct session){.call = call};
    return asking_read_nodes(call, &s->asking);
}

int session_look(struct session *s)
{
    struct buf why = {0};
    bool seen = picture_take(&s->picture, &s->asking, &why);
    if (!seen) {
        command_fail(s->call, EXIT_NOBODY,
                     "no node of a cluster can be asked (they are named by %s):", s->asking.targets.source);
        command_fail_lines(s->call, buf_slice(&why));
    }
    buf_free(&why);
    if (!seen)
        return EXIT_NOBODY;
    return s->tells_strangers ? EXIT_OK : known_one_cluster(s->call, &s->picture);
}

void session_end(struct session *s)
{
    picture_free(&s->picture);
    asking_free(&s->asking);
}

static struct picture_node *master_at(struct session *s, const redisReply *where, struct buf *why)
{
    char text[ADDR_TEXT_MAX + 16];
    if (where == NULL || where->type != REDIS_REPLY_ARRAY || where->elements != 2 ||
        where->element[0]->type != REDIS_REPLY_STRING || where->element[1]->type != REDIS_REPLY_STRING)
        return NULL;
    bool v6 = strchr(where->element[0]->str, ':') != NULL;
    int n = snprintf(text, sizeof text, v6 ? "[%s]:%s" : "%s:%s", where->element[0]->str, where->element[1]->str);
    return n > 0 && (size_t)n < sizeof text ? picture_find(&s->picture, text, why) : NULL;
}

/* As the supervisors call it. NULL: none of them knows the name, or none is named. */
static struct picture_node *master_of_shard(struct session *s, const char *name, struct buf *why)
{
    struct fleet f;
    struct picture_node *found = NULL;
    struct buf full = {0};
    if (strchr(name, '/') == NULL && s->asking.targets.fleet != NULL)
        buf_printf(&full, "%s/", s->asking.targets.fleet);
    buf_puts(&full, name);
    const char *argv[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", buf_str(&full)};
    asking_begin(&s->asking, &f);
    for (size_t i = 0; i < f.n; i++) {
        asking_login(&s->asking, f.members[i]);
        fleet_ask(f.members[i], 3, argv);
    }
    fleet_run(&f);
    for (size_t i = 0; i < f.n && found == NULL; i++)
        found = master_at(s, fleet_answer(f.members[i]), why);
    fleet_free(&f);
    buf_free(&full);
    return found;
}

struct picture_node *session_master(struct session *s, const char *text, struct buf *why)
{
    struct buf not_a_node = {0};
    struct picture_node *n = picture_find(&s->picture, text, &not_a_node);
    if (n == NULL)
        n = master_of_shard(s, text, why);
    if (n == NULL)
        buf_puts(why, buf_str(&not_a_node));
    buf_free(&not_a_node);
    if (n != NULL && !n->master && n->master_id[0] != '\0')
        n = picture_by_id(&s->picture, n->master_id);
    return n;
}
