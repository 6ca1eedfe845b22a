#include "nodectl/supervisor/change_list.h"

#include "nodectl/local/ports.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/list_members.h"
#include "nodectl/supervisor/roll.h"

#include <stdlib.h>
#include <string.h>

static const struct layout_member *member_of(const struct change_list *c, bool supervisor)
{
    const struct layout *l = &c->layout;
    for (size_t i = 0; i < l->n; i++) {
        const struct layout_member *m = &l->v[i];
        bool on_bus = strcmp(m->addr.host, c->who.host) == 0 && !m->supervisor && m->bus_port == c->who.port;
        if (m->supervisor == supervisor && (on_bus || addr_eq(&m->addr, &c->who)))
            return m;
    }
    return NULL;
}

/* ---- another change ---- */

static int refuse_second(const struct change_list *c)
{
    const struct layout *l = &c->layout;
    bool adds = l->changing == LAYOUT_ADDS;
    char text[ADDR_TEXT_MAX];
    addr_text(&l->changing_who, text);
    if (l->changing == LAYOUT_SETTLED || addr_eq(&l->changing_who, &c->who))
        return EXIT_OK;
    return command_fail(
        c->call, EXIT_FAILED,
        "the %s of supervisor %s is half done, and two at once would leave lists that have no majority: "
        "finish it first (nodectl supervisor %s %s), or take it back (nodectl supervisor %s %s)",
        adds ? "addition" : "removal", text, adds ? "add" : "remove", text, adds ? "remove" : "add", text);
}

/* ---- the address of a new one ---- */

static int refuse_taken(const struct change_list *c)
{
    struct ports ports = {0};
    struct buf why = {0};
    int code = EXIT_OK;
    if (!change_local_runs(c, &c->who) && !ports_hold(&ports, c->who.host, c->who.port, &why))
        code = command_fail(c->call, EXIT_FAILED, "no supervisor can be started at %s: %s", c->call->argv[0],
                            buf_str(&why));
    ports_free(&ports);
    buf_free(&why);
    return code;
}

static int check_new(const struct change_list *c, const struct roll *r)
{
    char text[ADDR_TEXT_MAX];
    const char *error = field_text(json_find(r->list, "address", addr_text(&c->who, text)), "error");
    if (member_of(c, false) != NULL)
        return command_fail(c->call, EXIT_FAILED, "%s is a port of one of the fleet's nodes: give a free one", text);
    if (c->local)
        return refuse_taken(c);
    if (strstr(error, "does not answer as a supervisor") != NULL || strstr(error, "does not speak") != NULL)
        return command_fail(c->call, EXIT_FAILED, "what answers at %s is no supervisor: %s", text, error);
    return EXIT_OK;
}

/* ---- the address of one that is to go ---- */

/* One that only answers may be of another fleet. It is of this one when it counts those that have forgotten it. */
static bool is_known(const struct change_list *c, const struct roll *r)
{
    bool counts_us = false;
    for (size_t i = 0; i < c->wanted.n; i++)
        counts_us = counts_us || list_members_count(r->views, &c->who, &c->wanted.v[i]);
    return counts_us || list_members_count(r->views, NULL, &c->who) || (c->local && member_of(c, true) != NULL) ||
           (c->layout.changing != LAYOUT_SETTLED && addr_eq(&c->layout.changing_who, &c->who));
}

static bool any_leases(const struct roll *r)
{
    size_t i;
    const json_t *s;
    json_array_foreach(r->list, i, s)
    {
        if (json_int(s, "list_version", 0) > 0)
            return true;
    }
    return false;
}

static int check_old(const struct change_list *c, const struct roll *r)
{
    const char *name = c->call->argv[0];
    if (c->wanted.n == 0)
        return command_fail(c->call, EXIT_FAILED,
                            "%s is the only supervisor: give the cluster up instead (nodectl cluster "
                            "release), and end it",
                            name);
    if (!is_known(c, r))
        return command_fail(c->call, EXIT_FAILED, "no supervisor that answers knows a supervisor %s", name);
    if (c->wanted.n == 1 && any_leases(r))
        return command_fail(c->call, EXIT_FAILED,
                            "%s is one of two supervisors: nodes count a new list when a majority of the old one has "
                            "it, which is both, and one that leaves never has it, so no write would be taken any more. "
                            "Add a third supervisor first, or give the cluster up (nodectl cluster release)",
                            name);
    return EXIT_OK;
}

int change_list_check(const struct change_list *c, const struct roll *r)
{
    int code = c->local ? refuse_second(c) : EXIT_OK;
    if (code != EXIT_OK)
        return code;
    return c->adds ? check_new(c, r) : check_old(c, r);
}
