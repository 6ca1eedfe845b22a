/* hooks: which program is run on which events. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/shell/config_inner.h"

#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct config_hook, member)

static const char *const on_error_words[] = {"continue", "abort", NULL};

static const struct conf_key hook_keys[] = {
    CONF_ROW_LIST("on", CONF_STRINGS, AT(on), 1,
                  "events by name, with * ? [...]; \"pre-failover\" is asked before one"),
    CONF_ROW_LIST("run", CONF_STRINGS, AT(run), 1, "the program and its arguments"),
    CONF_ROW_STRING("group", AT(group), 1, CONFIG_NAME_MAX, "only events of groups with such a name; with * ? [...]"),
    CONF_ROW_INT("timeout_ms", AT(timeout_ms), 1, CONFIG_MS_MAX, "milliseconds until it is killed"),
    CONF_ROW_INT("retries", AT(retries), 0, 1000, "how often it is run again when it exits with 1 or by a signal"),
    CONF_ROW_INT("retry_delay_ms", AT(retry_delay_ms), 1, CONFIG_MS_MAX,
                 "milliseconds until the first of them; it doubles each time"),
    CONF_ROW_BOOL("veto", AT(veto), "on pre-failover: an exit status other than 0 stops the failover"),
    CONF_ROW_WORD("on_error", AT(on_error), on_error_words,
                  "of a veto: what it means when the hook crashes, cannot be run, or takes too long"),
    {.name = NULL},
};

static bool gives(const config_setting_t *element, const char *key)
{
    return config_setting_get_member(element, key) != NULL;
}

static bool asks_for_veto(const struct config_hook *h)
{
    for (size_t i = 0; i < h->on.n; i++)
        if (text_glob(slice_of(h->on.v[i]), slice_of("pre-failover"), false))
            return true;
    return false;
}

static void check(struct conf_reader *r, const config_setting_t *element, const struct config_hook *h)
{
    const struct sentineld_config *c = r->context;
    static const char *const needed[] = {"on", "run"};
    for (size_t i = 0; i < 2; i++)
        if (!gives(element, needed[i]))
            conf_problem(r->problems, element, needed[i], "is missing: every hook needs it");
    for (size_t i = 0; i < h->on.n; i++)
        if (h->on.v[i][0] == '\0')
            conf_problem(r->problems, element, "on",
                         "an empty name matches no event: expected something like \"+odown\"");
    const char *fault = h->run.n > 0 ? config_script_fault(c->state_dir, h->run.v[0]) : NULL;
    if (fault != NULL)
        conf_problem(r->problems, element, "run", "\"%s\" %s", h->run.v[0], fault);
    if (h->veto && h->on.n > 0 && !asks_for_veto(h))
        conf_problem(r->problems, element, "veto", "only \"pre-failover\" can be vetoed: add it to `on`");
    for (size_t i = 0; i < h->on.n && !h->veto; i++)
        if (strcmp(h->on.v[i], "pre-failover") == 0)
            conf_problem(r->problems, element, "on", "\"pre-failover\" is asked of hooks with veto = true only");
    if (gives(element, "on_error") && !h->veto)
        conf_problem(r->problems, element, "on_error", "is for hooks with veto = true");
}

void config_read_hook(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sentineld_config *c = target;
    struct config_hook h = {.timeout_ms = 60000, .retries = 9, .retry_delay_ms = 30000};
    conf_read(r, element, hook_keys, &h);
    check(r, element, &h);
    c->hooks = mem_array(c->hooks, c->hook_count + 1, sizeof *c->hooks);
    c->hooks[c->hook_count++] = h;
}

void config_hook_free(struct config_hook *h)
{
    conf_strings_free(&h->on);
    conf_strings_free(&h->run);
    free(h->group);
}

static void copy_strings(struct conf_strings *to, const struct conf_strings *from)
{
    to->n = from->n;
    to->v = mem_array(NULL, from->n, sizeof(char *));
    for (size_t i = 0; i < from->n; i++)
        to->v[i] = mem_strdup(from->v[i]);
}

static bool same_strings(const struct conf_strings *a, const struct conf_strings *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i], b->v[i]) == 0;
    return same;
}

void config_hook_copy(struct config_hook *to, const struct config_hook *from)
{
    *to = *from;
    copy_strings(&to->on, &from->on);
    copy_strings(&to->run, &from->run);
    to->group = from->group != NULL ? mem_strdup(from->group) : NULL;
}

bool config_hook_same(const struct config_hook *a, const struct config_hook *b)
{
    bool same_group = a->group == NULL || b->group == NULL ? a->group == b->group : strcmp(a->group, b->group) == 0;
    return same_group && same_strings(&a->on, &b->on) && same_strings(&a->run, &b->run) &&
           a->timeout_ms == b->timeout_ms && a->retries == b->retries && a->retry_delay_ms == b->retry_delay_ms &&
           a->veto == b->veto && a->on_error == b->on_error;
}

bool config_hook_wants(const struct config_hook *h, const char *event, const char *group)
{
    if (h->group != NULL && (group == NULL || !text_glob(slice_of(h->group), slice_of(group), false)))
        return false;
    for (size_t i = 0; i < h->on.n; i++)
        if (text_glob(slice_of(h->on.v[i]), slice_of(event), false))
            return true;
    return false;
}
