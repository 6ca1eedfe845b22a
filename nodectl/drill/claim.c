#include "nodectl/drill/claim.h"

#include "nodectl/reply_json.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY "DRILLBUSY "

static void put_owner(struct buf *out)
{
    const char *user = getenv("SUDO_USER");
    const struct passwd *pw = getpwuid(getuid());
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    buf_printf(out, "%s@%s (process %d)",
               user != NULL && *user != '\0' ? user
               : pw != NULL                  ? pw->pw_name
                                             : "unknown",
               host, (int)getpid());
}

static void ask_all(const struct drill_claim_order *c, struct fleet *f, int argc, const char *const *argv)
{
    fleet_init(f, c->asking->timeout_ms);
    for (size_t i = 0; i < c->target->nsupervisors; i++) {
        bool added;
        struct fleet_member *m = fleet_add(f, &c->target->supervisors[i], true, &added);
        asking_login(c->asking, m);
        fleet_ask(m, argc, argv);
    }
    fleet_run(f);
}

void claim_end(const struct drill_claim_order *c)
{
    struct fleet f;
    ask_all(c, &f, 4, (const char *[]){"SENTINEL", "DRILL", "END", c->id});
    fleet_free(&f);
}

void claim_tell(const struct asking *a, struct buf *out)
{
    struct fleet f;
    json_t *told = json_object();
    asking_begin(a, &f);
    for (size_t i = 0; i < f.n; i++) {
        asking_login(a, f.members[i]);
        fleet_ask(f.members[i], 3, (const char *[]){"SENTINEL", "DRILL", "CLAIMS"});
    }
    fleet_run(&f);
    for (size_t i = 0; i < f.n; i++) {
        const redisReply *r = fleet_answer(f.members[i]);
        json_t *rows = r != NULL && r->type == REDIS_REPLY_ARRAY ? reply_objects(r) : NULL;
        const json_t *row;
        size_t k;
        json_array_foreach(rows, k, row)
        {
            const char *id = field_text(row, "id");
            if (json_object_get(told, id) != NULL)
                continue;
            json_object_set_new(told, id, json_true());
            buf_printf(out, "drill %s (%s) by %s runs since %" PRId64 " s\n", id, field_text(row, "what"),
                       field_text(row, "owner"), field_number(row, "age-ms", 0) / 1000);
        }
        json_decref(rows);
    }
    json_decref(told);
    fleet_free(&f);
}

/* What each has said. */
struct said {
    size_t taken, unknown, all;
};

static void read_answers(const struct fleet *f, struct said *said, struct buf *why)
{
    char at[ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_member *m = f->members[i];
        const redisReply *r = fleet_answer(m);
        bool taken = r != NULL && r->type == REDIS_REPLY_STATUS;
        const char *text = r == NULL ? m->error : r->type == REDIS_REPLY_ERROR ? r->str : "an answer that is none";
        bool busy = !taken && strncmp(text, BUSY, sizeof BUSY - 1) == 0;
        said->taken += taken;
        said->unknown += !taken && r != NULL && strncmp(text, "ERR ", 4) == 0;
        if (!taken)
            buf_printf(why, "%s: %s\n", addr_text(&m->addr, at), busy ? text + sizeof BUSY - 1 : text);
    }
    said->all = f->n;
}

static void ask_begin(const struct drill_claim_order *c, int64_t ms, struct fleet *f)
{
    struct buf owner = {0};
    char number[24];
    put_owner(&owner);
    snprintf(number, sizeof number, "%" PRId64, ms);
    ask_all(c, f, 8,
            (const char *[]){"SENTINEL", "DRILL", "BEGIN", c->id, c->of_supervisor ? "*" : c->target->scope, number,
                             buf_str(&owner), c->what});
    buf_free(&owner);
}

void claim_renew(const struct drill_claim_order *c, int64_t ms)
{
    struct fleet f;
    ask_begin(c, ms, &f);
    fleet_free(&f);
}

enum claim_result claim_take(const struct drill_claim_order *c, int64_t ms, struct buf *why)
{
    struct fleet f;
    struct said said = {0};
    struct buf refusals = {0};
    ask_begin(c, ms, &f);
    read_answers(&f, &said, &refusals);
    fleet_free(&f);
    bool majority = 2 * said.taken > said.all;
    /* Where those that know claims are no majority, the others decide nothing. */
    bool unknown = !majority && said.unknown > 0 && said.taken + said.unknown == said.all;
    if (!majority) {
        if (said.taken > 0)
            claim_end(c);
        buf_put(why, refusals.p, refusals.n);
    }
    buf_free(&refusals);
    return majority ? CLAIM_TAKEN : unknown ? CLAIM_UNKNOWN : CLAIM_REFUSED;
}
