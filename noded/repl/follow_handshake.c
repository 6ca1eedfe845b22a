/* The beginning of a link: who we are, and from where on we want the stream. */
#include "noded/repl/follow_state.h"

#include "common/base/runid.h"
#include "common/base/text.h"
#include "noded/repl/failover.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What was asked, in the order of the answers. */
enum { ASKED_PING = 'P', ASKED_AUTH = 'A', ASKED_PORT = 'L', ASKED_IP = 'I', ASKED_CAPA = 'C', ASKED_DATABASES = 'D' };

static bool starts(struct slice line, const char *word)
{
    size_t n = strlen(word);
    return line.n >= n && memcmp(line.p, word, n) == 0;
}

static void ask(struct nd_following *f, char what, size_t argc, const char *const *words)
{
    f->asked[f->asked_n++] = what;
    nd_follow_send(f, argc, words);
}

void nd_greet_begin(struct nd_following *f)
{
    static const char *const ping[] = {"PING"};
    f->asked_n = f->asked_at = 0;
    buf_clear(&f->line);
    nd_follow_enter(f, ND_FOLLOW_GREETING);
    ask(f, ASKED_PING, 1, ping);
}

/* All that does not depend on an answer goes out at once. */
static void introduce(struct nd_following *f)
{
    const struct nd_config *config = &f->r->e->config;
    char port[24];
    int64_t shown = config->replica_announce_port != 0 ? config->replica_announce_port : config->port;
    snprintf(port, sizeof port, "%" PRId64, shown);
    f->asked_n = f->asked_at = 0;
    if (config->masterauth[0] != '\0') {
        const char *words[] = {"AUTH", config->masteruser, config->masterauth};
        const char *without[] = {"AUTH", config->masterauth};
        if (config->masteruser[0] != '\0')
            ask(f, ASKED_AUTH, 3, words);
        else
            ask(f, ASKED_AUTH, 2, without);
    }
    const char *listening[] = {"REPLCONF", "listening-port", port};
    ask(f, ASKED_PORT, 3, listening);
    if (config->replica_announce_ip[0] != '\0') {
        const char *ip[] = {"REPLCONF", "ip-address", config->replica_announce_ip};
        ask(f, ASKED_IP, 3, ip);
    }
    static const char *const capa[] = {"REPLCONF", "capa", "eof", "capa", "psync2", "capa", "databases"};
    ask(f, ASKED_CAPA, config->cluster_enabled ? 7 : 5, capa);
    f->databases = 0;
    if (!config->cluster_enabled)
        return;
    /* Shadow databases have other numbers where there are more databases, or fewer. */
    char own[16];
    snprintf(own, sizeof own, "%d", f->r->e->keys.db_count);
    const char *databases[] = {"REPLCONF", "cluster-databases", own};
    ask(f, ASKED_DATABASES, 3, databases);
}

/* A history of which nobody else can know is not worth asking for. */
static bool has_history(const struct nd_following *f)
{
    return !f->ask_full && (f->r->backlog != NULL || f->r->offset > 0);
}

static void ask_stream(struct nd_following *f)
{
    char offset[24];
    bool known = has_history(f);
    snprintf(offset, sizeof offset, "%" PRId64, known ? f->r->offset + 1 : (int64_t)-1);
    const char *words[] = {"PSYNC", known ? f->r->id : "?", offset, "FAILOVER"};
    if (known)
        nd_follow_log(f, ND_LOG_NOTICE, "Asking %s:%d for the stream of %s from offset %s on", f->host_name, f->port,
                      f->r->id, offset);
    else
        nd_follow_log(f, ND_LOG_NOTICE, "Asking %s:%d for its dataset", f->host_name, f->port);
    nd_follow_enter(f, ND_FOLLOW_ASKING);
    nd_follow_send(f, f->failover ? 4 : 3, words);
    f->failovers += f->failover;
}

/* ---- answers to the greeting ---- */

/* A master that wants a password, or that is too busy to answer otherwise, lives. */
static bool alive(struct slice line)
{
    return starts(line, "+") || starts(line, "-NOAUTH") || starts(line, "-NOPERM") ||
           starts(line, "-ERR operation not permitted");
}

static void refused(struct nd_following *f, const char *what, struct slice line)
{
    struct buf text = {0};
    text_quote(&text, line, 200);
    nd_follow_log(f, ND_LOG_WARNING, "The master %s:%d answered %s with: %s", f->host_name, f->port, what,
                  buf_str(&text));
    buf_free(&text);
    nd_follow_retry(f, 1000000);
}

static void take_greeting(struct nd_following *f, struct slice line)
{
    char what = f->asked[f->asked_at++];
    bool error = !starts(line, "+");
    if (what == ASKED_PING) {
        if (!alive(line)) {
            refused(f, "PING", line);
            return;
        }
        introduce(f);
        return;
    }
    if (what == ASKED_AUTH && error) {
        refused(f, "AUTH", line);
        return;
    }
    if (what == ASKED_DATABASES) {
        int64_t n;
        if (!error && text_range((struct slice){line.p + 1, line.n - 1}, 1, INT32_MAX, &n))
            f->databases = (int)n; /* a redis-server has none, and does not know the question */
    } else if (error) {
        struct buf text = {0};
        text_quote(&text, line, 200);
        nd_follow_log(f, ND_LOG_NOTICE, "The master %s:%d does not take what this replica says of itself: %s",
                      f->host_name, f->port, buf_str(&text));
        buf_free(&text);
    }
    if (f->asked_at == f->asked_n)
        ask_stream(f);
}

/* ---- answers to PSYNC ---- */

static void full(struct nd_following *f, struct slice rest)
{
    struct slice id = slice_cut(&rest, ' ');
    int64_t offset;
    if (!runid_parse(id, f->sync_id) || !text_range(rest, 0, INT64_MAX, &offset)) {
        refused(f, "PSYNC", id);
        return;
    }
    f->sync_offset = offset;
    nd_follow_log(f, ND_LOG_NOTICE, "The master %s:%d sends its dataset: history %s at offset %" PRId64, f->host_name,
                  f->port, f->sync_id, offset);
    nd_payload_begin(f);
}

/* The history goes on under another name: the master was promoted meanwhile. */
static void renamed(struct nd_following *f, const char *id)
{
    struct nd_repl *r = f->r;
    if (memcmp(id, r->id, ND_REPL_ID) == 0)
        return;
    nd_follow_log(f, ND_LOG_NOTICE, "The history %s goes on as %s from offset %" PRId64 " on", r->id, id,
                  r->offset + 1);
    memcpy(r->id2, r->id, sizeof r->id2);
    r->id2_offset = r->offset + 1;
    memcpy(r->id, id, ND_REPL_ID);
    /* They have to hear of the new name. */
    nd_serve_history_changed(r);
}

static void partial(struct nd_following *f, struct slice rest)
{
    struct nd_repl *r = f->r;
    runid id;
    bool asked = has_history(f);
    struct slice name = slice_trim(rest);
    if (!asked || (name.n > 0 && !runid_parse(name, id))) {
        refused(f, "PSYNC", rest);
        return;
    }
    if (name.n > 0)
        renamed(f, id);
    nd_follow_log(f, ND_LOG_NOTICE, "The master %s:%d goes on from offset %" PRId64, f->host_name, f->port,
                  r->offset + 1);
    f->syncs_partial++;
    nd_stream_begin(f, r->stream_db);
}

/* FAILOVER: the replica that was to be the master did not take it. */
static void failover_refused(struct nd_following *f, struct slice line)
{
    struct nd_repl *r = f->r;
    struct buf why = {0};
    buf_puts(&why, "it answered PSYNC with ");
    text_quote(&why, line, 200);
    nd_follow_none(r);
    nd_failover_ended(r, false, buf_str(&why));
    buf_free(&why);
}

/* It was asked before, and the link broke before its answer came: it is the master already, and two would be one too
 * many. */
static bool has_taken_over(const struct nd_following *f, struct slice line)
{
    return f->failovers > 1 && starts(line, "-ERR PSYNC FAILOVER can't be sent to a master");
}

static void take_psync(struct nd_following *f, struct slice line)
{
    if (line.n == 0)
        return; /* it lives, and is still busy */
    bool failover = f->failover;
    if (starts(line, "+FULLRESYNC ")) {
        full(f, (struct slice){line.p + 12, line.n - 12});
    } else if (starts(line, "+CONTINUE")) {
        partial(f, (struct slice){line.p + 9, line.n - 9});
    } else if (failover && has_taken_over(f, line)) {
        nd_follow_retry(f, 0);
    } else if (failover) {
        failover_refused(f, line);
        return;
    } else {
        refused(f, "PSYNC", line);
        return;
    }
    f->failover = false;
    if (failover)
        nd_failover_ended(f->r, true, "the replica has taken over");
}

bool nd_greet_bytes(struct nd_following *f, struct slice *in)
{
    while (in->n > 0 && (f->state == ND_FOLLOW_GREETING || f->state == ND_FOLLOW_ASKING)) {
        const char *nl = memchr(in->p, '\n', in->n);
        size_t n = nl != NULL ? (size_t)(nl - in->p) : in->n;
        buf_put(&f->line, in->p, n);
        *in = (struct slice){in->p + n + (nl != NULL), in->n - n - (nl != NULL)};
        if (f->line.n > ND_FOLLOW_LINE_MAX) {
            refused(f, "us", buf_slice(&f->line));
            return false;
        }
        if (nl == NULL)
            return false;
        struct slice line = buf_slice(&f->line);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        /* The line stays where it is while it is looked at: another link begins with an empty one. */
        struct buf kept = f->line;
        f->line = (struct buf){0};
        if (f->state == ND_FOLLOW_ASKING)
            take_psync(f, line);
        else if (line.n > 0 && f->asked_at < f->asked_n)
            take_greeting(f, line);
        buf_free(&kept);
    }
    return in->n > 0;
}
