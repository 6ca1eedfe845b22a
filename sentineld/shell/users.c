#include "sentineld/shell/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/io/log.h"

struct change {
    sn_token token;
    struct user next;
    bool remove;
};

struct users {
    struct user **v; /* by name */
    size_t n;
    struct change *waiting; /* in the order of the requests */
    size_t nwaiting, cap_waiting;
};

/* ---- the set ---- */

/* Where the name is, or belongs. */
static size_t place(const struct users *all, const char *name)
{
    size_t i = 0;
    while (i < all->n && strcmp(all->v[i]->name, name) < 0)
        i++;
    return i;
}

static bool is_at(const struct users *all, size_t i, const char *name)
{
    return i < all->n && strcmp(all->v[i]->name, name) == 0;
}

/* Takes *u. A user that is there already keeps its pointer. */
static struct user *put(struct users *all, struct user *u)
{
    size_t i = place(all, u->name);
    if (is_at(all, i, u->name)) {
        user_free(all->v[i]);
    } else {
        all->v = mem_array(all->v, all->n + 1, sizeof(struct user *));
        memmove(&all->v[i + 1], &all->v[i], (all->n - i) * sizeof(struct user *));
        all->v[i] = mem_alloc(sizeof **all->v);
        all->n++;
    }
    *all->v[i] = *u;
    *u = (struct user){.name = NULL};
    return all->v[i];
}

static void take_out(struct users *all, size_t i)
{
    user_free(all->v[i]);
    free(all->v[i]);
    all->n--;
    memmove(&all->v[i], &all->v[i + 1], (all->n - i) * sizeof(struct user *));
}

size_t users_count(const struct users *all)
{
    return all->n;
}

const struct user *users_at(const struct users *all, size_t i)
{
    return all->v[i];
}

const struct user *users_find(const struct users *all, struct slice name)
{
    for (size_t i = 0; i < all->n; i++)
        if (slice_is(name, all->v[i]->name))
            return all->v[i];
    return NULL;
}

const struct user *users_default(const struct users *all)
{
    return users_find(all, slice_of("default"));
}

const struct user *users_login(const struct users *all, struct slice name, struct slice password)
{
    const struct user *u = users_find(all, name);
    return user_password_fits(u, password) ? u : NULL;
}

/* ---- from the file and the state ---- */

static void put_readable(struct buf *out, const struct command *rows)
{
    for (const struct command *row = rows; row != NULL && row->name != NULL; row++) {
        if (row->run != NULL && command_allowed(row, CONFIG_ACCESS_READ))
            buf_printf(out, " +%s", row->full);
        put_readable(out, row->subs);
    }
}

void users_file_rules(struct buf *out, const struct config_user *u)
{
    char hash[SHA256_HEX + 1];
    sha256_hex(slice_of(u->password), hash);
    buf_printf(out, "on %s%s ~* &* %s", u->password[0] != '\0' ? "#" : "nopass", u->password[0] != '\0' ? hash : "",
               u->access == CONFIG_ACCESS_ALL ? "+@all" : "-@all");
    if (u->access != CONFIG_ACCESS_ALL)
        put_readable(out, command_table);
}

void users_option_name(struct buf *out, const char *name)
{
    buf_puts(out, USERS_OPTION);
    for (const char *p = name; *p != '\0'; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("-_.:@/+", *p) != NULL)
            buf_putc(out, *p);
        else
            buf_printf(out, "%%%02x", (unsigned)(unsigned char)*p);
    }
}

bool users_option_read(const char *option, struct buf *name)
{
    if (strncmp(option, USERS_OPTION, strlen(USERS_OPTION)) != 0)
        return false;
    for (const char *p = option + strlen(USERS_OPTION); *p != '\0'; p++) {
        unsigned byte;
        if (*p != '%') {
            buf_putc(name, *p);
        } else if (sscanf(p, "%%%2x", &byte) == 1 && byte != 0 && p[2] != '\0') {
            buf_putc(name, (char)(unsigned char)byte);
            p += 2;
        } else {
            return false;
        }
    }
    return true;
}

static void add_rules(struct users *all, const char *name, struct slice rules)
{
    struct user u;
    user_init(&u, name);
    if (user_read(&u, rules)) {
        put(all, &u);
        return;
    }
    io_log(IO_WARNING,
           "User %s: the rules that were stored for it are not understood, so what was set at run time is "
           "dropped: give them again by ACL SETUSER.",
           name);
    user_free(&u);
}

static void add_stored(struct users *all, const struct state_option *o)
{
    struct buf name = {0};
    if (o->group[0] == '\0' && users_option_read(o->option, &name)) {
        size_t i = place(all, buf_str(&name));
        if (strcmp(o->value, USERS_REMOVED) != 0)
            add_rules(all, buf_str(&name), slice_of(o->value));
        else if (is_at(all, i, buf_str(&name)))
            take_out(all, i);
    }
    buf_free(&name);
}

static void fill(struct users *all, const struct sentineld_config *file, const struct state_options *runtime)
{
    struct user standard;
    user_init(&standard, "default");
    put(all, &standard);
    struct buf rules = {0};
    for (size_t i = 0; i < file->user_count; i++) {
        buf_clear(&rules);
        users_file_rules(&rules, &file->users[i]);
        add_rules(all, file->users[i].name, buf_slice(&rules));
    }
    buf_free(&rules);
    for (size_t i = 0; i < runtime->n; i++)
        add_stored(all, &runtime->v[i]);
}

struct users *users_new(const struct sentineld_config *file, const struct state_options *runtime)
{
    struct users *all = mem_zalloc(sizeof *all);
    fill(all, file, runtime);
    return all;
}

static void empty(struct users *all)
{
    while (all->n > 0)
        take_out(all, all->n - 1);
    free(all->v);
    all->v = NULL;
}

void users_free(struct users *all)
{
    if (all == NULL)
        return;
    empty(all);
    for (size_t i = 0; i < all->nwaiting; i++)
        user_free(&all->waiting[i].next);
    free(all->waiting);
    free(all);
}

void users_reload(struct users *all, const struct sentineld_config *file, const struct state_options *runtime,
                  users_fn *changed, void *owner)
{
    struct users next = {.n = 0};
    fill(&next, file, runtime);
    for (size_t i = 0; i < all->n;) {
        const struct user *now = users_find(&next, slice_of(all->v[i]->name));
        if (now == NULL || now->on != all->v[i]->on || !user_same_passwords(now, all->v[i])) {
            changed(owner, all->v[i], true);
            take_out(all, i);
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < next.n; i++)
        changed(owner, put(all, next.v[i]), false);
    empty(&next);
}

/* ---- changes that wait ---- */

static const struct change *latest(const struct users *all, struct slice name)
{
    for (size_t i = all->nwaiting; i-- > 0;)
        if (slice_is(name, all->waiting[i].next.name))
            return &all->waiting[i];
    return NULL;
}

bool users_will_be(const struct users *all, struct slice name)
{
    const struct change *c = latest(all, name);
    return c != NULL ? !c->remove : users_find(all, name) != NULL;
}

void users_draft(const struct users *all, struct slice name, struct user *out)
{
    const struct change *c = latest(all, name);
    const struct user *u = c == NULL ? users_find(all, name) : c->remove ? NULL : &c->next;
    if (u != NULL) {
        user_copy(out, u);
        return;
    }
    char *text = slice_dup(name);
    user_init(out, text);
    free(text);
}

void users_change(struct users *all, sn_token token, struct user *u, bool remove)
{
    all->waiting = mem_grow(all->waiting, all->nwaiting, &all->cap_waiting, sizeof *all->waiting);
    all->waiting[all->nwaiting++] = (struct change){token, *u, remove};
    *u = (struct user){.name = NULL};
}

static size_t make(struct users *all, struct change *c, users_fn *changed, void *owner)
{
    if (!c->remove) {
        changed(owner, put(all, &c->next), false);
        return 0;
    }
    size_t i = place(all, c->next.name);
    if (!is_at(all, i, c->next.name))
        return 0;
    changed(owner, all->v[i], true);
    take_out(all, i);
    return 1;
}

size_t users_settle(struct users *all, sn_token token, bool ok, users_fn *changed, void *owner)
{
    size_t removed = 0, kept = 0;
    for (size_t i = 0; i < all->nwaiting; i++) {
        struct change *c = &all->waiting[i];
        if (c->token != token) {
            all->waiting[kept++] = *c;
            continue;
        }
        if (ok)
            removed += make(all, c, changed, owner);
        user_free(&c->next);
    }
    all->nwaiting = kept;
    return removed;
}
