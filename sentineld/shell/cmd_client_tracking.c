#include "sentineld/shell/command.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/shell/client.h"

/* A supervisor has no keys, so nothing is ever invalidated. Client libraries switch tracking on for every connection
 * they make; they get the answers that they know. */

#define PREFIXES_MAX 1024

static void free_prefixes(struct client_tracking *t)
{
    for (size_t i = 0; i < t->nprefixes; i++)
        free(t->prefixes[i]);
    free(t->prefixes);
    t->prefixes = NULL;
    t->nprefixes = 0;
}

/* false: the error is in the reply. */
static bool read_options(struct call *call, struct client_tracking *t)
{
    for (size_t i = 3; i < call->argc; i++) {
        struct slice word = call->argv[i];
        bool more = i + 1 < call->argc;
        if (slice_ieq(word, "redirect") && more) {
            if (t->redirect != 0) {
                reply_error(call->r, "ERR A client can only redirect to a single other client");
                return false;
            }
            if (!text_i64(call->argv[++i], &t->redirect)) {
                reply_error(call->r, "ERR value is not an integer or out of range");
                return false;
            }
            if (client_by_id(call->c->all, t->redirect) == NULL) {
                reply_error(call->r, "ERR The client ID you want redirect to does not exist");
                return false;
            }
        } else if (slice_ieq(word, "bcast")) {
            t->bcast = true;
        } else if (slice_ieq(word, "optin")) {
            t->optin = true;
        } else if (slice_ieq(word, "optout")) {
            t->optout = true;
        } else if (slice_ieq(word, "noloop")) {
            t->noloop = true;
        } else if (slice_ieq(word, "prefix") && more && t->nprefixes < PREFIXES_MAX) {
            t->prefixes = mem_array(t->prefixes, t->nprefixes + 1, sizeof *t->prefixes);
            t->prefixes[t->nprefixes++] = slice_dup(call->argv[++i]);
        } else {
            command_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* What is wrong with these options, for a client that has `now`; NULL: nothing. */
static const char *contradiction(const struct client_tracking *now, const struct client_tracking *t)
{
    if (!t->bcast && t->nprefixes > 0)
        return "PREFIX option requires BCAST mode to be enabled";
    if (now->on && now->bcast != t->bcast)
        return "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
               "with a "
               "different mode.";
    if (t->bcast && (t->optin || t->optout))
        return "OPTIN and OPTOUT are not compatible with BCAST";
    if (t->optin && t->optout)
        return "You can't specify both OPTIN mode and OPTOUT mode";
    if ((t->optin && now->optout) || (t->optout && now->optin))
        return "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
               "with a "
               "different mode.";
    return NULL;
}

void cmd_client_tracking(struct call *call)
{
    struct client_tracking *now = &call->c->tracking, wanted = {.on = true};
    if (!read_options(call, &wanted)) {
        free_prefixes(&wanted);
        return;
    }
    if (slice_ieq(call->argv[2], "off")) {
        free_prefixes(&wanted);
        free_prefixes(now);
        *now = (struct client_tracking){.on = false};
        reply_status(call->r, "OK");
        return;
    }
    const char *wrong = contradiction(now, &wanted);
    if (!slice_ieq(call->argv[2], "on")) {
        command_syntax_error(call);
    } else if (wrong != NULL) {
        reply_error(call->r, "ERR %s", wrong);
    } else {
        free_prefixes(now);
        *now = wanted;
        wanted.nprefixes = 0;
        wanted.prefixes = NULL;
        reply_status(call->r, "OK");
    }
    free_prefixes(&wanted);
}

void cmd_client_trackinginfo(struct call *call)
{
    const struct client_tracking *t = &call->c->tracking;
    const char *flags[8];
    size_t n = 0;
    flags[n++] = t->on ? "on" : "off";
    if (t->bcast)
        flags[n++] = "bcast";
    if (t->optin)
        flags[n++] = "optin";
    if (t->optin && t->caching)
        flags[n++] = "caching-yes";
    if (t->optout)
        flags[n++] = "optout";
    if (t->optout && t->caching)
        flags[n++] = "caching-no";
    if (t->noloop)
        flags[n++] = "noloop";
    if (t->redirect != 0 && client_by_id(call->c->all, t->redirect) == NULL)
        flags[n++] = "broken_redirect";
    reply_map(call->r, 3);
    reply_bulks(call->r, "flags");
    reply_set(call->r, n);
    for (size_t i = 0; i < n; i++)
        reply_bulks(call->r, flags[i]);
    reply_bulks(call->r, "redirect");
    reply_int(call->r, t->on ? t->redirect : -1);
    reply_bulks(call->r, "prefixes");
    reply_array(call->r, t->nprefixes);
    for (size_t i = 0; i < t->nprefixes; i++)
        reply_bulks(call->r, t->prefixes[i]);
}

void cmd_client_getredir(struct call *call)
{
    reply_int(call->r, call->c->tracking.on ? call->c->tracking.redirect : -1);
}

void cmd_client_caching(struct call *call)
{
    struct client_tracking *t = &call->c->tracking;
    bool yes = slice_ieq(call->argv[2], "yes");
    if (!t->on) {
        reply_error(call->r,
                    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT "
                    "mode enabled");
    } else if (!yes && !slice_ieq(call->argv[2], "no")) {
        command_syntax_error(call);
    } else if (yes && !t->optin) {
        reply_error(call->r, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    } else if (!yes && !t->optout) {
        reply_error(call->r, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    } else {
        t->caching = true;
        reply_status(call->r, "OK");
    }
}
