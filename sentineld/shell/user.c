#include "sentineld/shell/user.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"

static const char bad_hash[] = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
                               "characters";

void user_words_add(struct user_words *w, char *owned)
{
    w->v = mem_array(w->v, w->n + 1, sizeof *w->v);
    w->v[w->n++] = owned;
}

void user_words_drop(struct user_words *w, size_t i)
{
    free(w->v[i]);
    w->n--;
    memmove(&w->v[i], &w->v[i + 1], (w->n - i) * sizeof *w->v);
}

void user_words_free(struct user_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    *w = (struct user_words){NULL, 0};
}

static void copy_words(struct user_words *to, const struct user_words *from)
{
    *to = (struct user_words){NULL, 0};
    for (size_t i = 0; i < from->n; i++)
        user_words_add(to, mem_strdup(from->v[i]));
}

static size_t find_word(const struct user_words *w, struct slice word)
{
    size_t i = 0;
    while (i < w->n && !slice_is(word, w->v[i]))
        i++;
    return i;
}

static void add_once(struct user_words *w, struct slice word)
{
    if (find_word(w, word) == w->n)
        user_words_add(w, slice_dup(word));
}

void user_init(struct user *u, const char *name)
{
    *u = (struct user){.name = mem_strdup(name)};
}

void user_copy(struct user *to, const struct user *from)
{
    *to = *from;
    to->name = mem_strdup(from->name);
    copy_words(&to->hashes, &from->hashes);
    copy_words(&to->keys, &from->keys);
    copy_words(&to->channels, &from->channels);
    copy_words(&to->rules, &from->rules);
}

void user_free(struct user *u)
{
    free(u->name);
    user_words_free(&u->hashes);
    user_words_free(&u->keys);
    user_words_free(&u->channels);
    user_words_free(&u->rules);
    *u = (struct user){.name = NULL};
}

/* ---- passwords ---- */

static bool is_hash(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == SHA256_HEX;
}

static const char *add_hash(struct user *u, struct slice hash)
{
    if (!is_hash(hash))
        return bad_hash;
    add_once(&u->hashes, hash);
    u->nopass = false;
    return NULL;
}

static const char *drop_hash(struct user *u, struct slice hash)
{
    if (!is_hash(hash))
        return bad_hash;
    size_t i = find_word(&u->hashes, hash);
    if (i == u->hashes.n)
        return "The password you are trying to remove from the user does not exist";
    user_words_drop(&u->hashes, i);
    return NULL;
}

static const char *apply_password(struct user *u, char sign, struct slice value)
{
    char hash[SHA256_HEX + 1];
    if (sign == '#')
        return add_hash(u, value);
    if (sign == '!')
        return drop_hash(u, value);
    sha256_hex(value, hash);
    return sign == '>' ? add_hash(u, slice_of(hash)) : drop_hash(u, slice_of(hash));
}

/* Looks at every digit of every hash, whatever the first ones were. */
static bool any_fits(const struct user_words *hashes, const char *hash)
{
    bool fits = false;
    for (size_t i = 0; i < hashes->n; i++) {
        unsigned char differs = 0;
        for (size_t k = 0; k < SHA256_HEX; k++)
            differs |= (unsigned char)(hashes->v[i][k] ^ hash[k]);
        fits |= differs == 0;
    }
    return fits;
}

bool user_password_fits(const struct user *u, struct slice password)
{
    static char nobodys[] = "a hash of 64 digits that is none, so that nothing is equal to it";
    char *one[] = {nobodys};
    struct user_words none = {one, 1};
    char hash[SHA256_HEX + 1];
    sha256_hex(password, hash);
    bool fits = any_fits(u != NULL && u->hashes.n > 0 ? &u->hashes : &none, hash);
    return u != NULL && u->on && (u->nopass || fits);
}

bool user_same_passwords(const struct user *a, const struct user *b)
{
    if (a->nopass != b->nopass || a->hashes.n != b->hashes.n)
        return false;
    for (size_t i = 0; i < a->hashes.n; i++)
        if (find_word(&b->hashes, slice_of(a->hashes.v[i])) == b->hashes.n)
            return false;
    return true;
}

/* ---- keys and channels ---- */

static bool has_white_space(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r'))
            return true;
    return false;
}

static const char *apply_channel(struct user *u, struct slice pattern)
{
    if (slice_is(pattern, "*")) {
        user_words_free(&u->channels);
        u->all_channels = true;
        return NULL;
    }
    if (u->all_channels)
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any "
               "effect. Try 'resetchannels' to start with an empty list of channels";
    if (has_white_space(pattern))
        return "Syntax error";
    add_once(&u->channels, pattern);
    return NULL;
}

/* "%RW~a" is "~a". */
static const char *apply_key(struct user *u, struct slice rule)
{
    bool reads = rule.p[0] == '~', writes = reads;
    size_t i = reads ? 0 : 1;
    for (; i < rule.n && rule.p[i] != '~'; i++) {
        char c = rule.p[i];
        if ((c != 'R' && c != 'r' && c != 'W' && c != 'w') || ((c == 'R' || c == 'r') ? reads : writes))
            return "Syntax error";
        if (c == 'R' || c == 'r')
            reads = true;
        else
            writes = true;
    }
    if (i == rule.n || (!reads && !writes))
        return "Syntax error";
    struct slice pattern = {rule.p + i, rule.n - i};
    bool both = reads && writes;
    if (both && slice_is(pattern, "~*")) {
        user_words_free(&u->keys);
        u->all_keys = true;
        return NULL;
    }
    if (u->all_keys)
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any "
               "effect. Try 'resetkeys' to start with an empty list of patterns";
    if (has_white_space(pattern))
        return "Syntax error";
    struct buf text = {0};
    buf_puts(&text, both ? "" : reads ? "%R" : "%W");
    buf_put(&text, pattern.p, pattern.n);
    add_once(&u->keys, buf_slice(&text));
    buf_free(&text);
    return NULL;
}

bool user_may_hear(const struct user *u, struct slice channel, bool is_pattern)
{
    if (u->all_channels)
        return true;
    for (size_t i = 0; i < u->channels.n; i++) {
        struct slice allowed = slice_of(u->channels.v[i]);
        if (is_pattern ? slice_eq(allowed, channel) : text_glob(allowed, channel, false))
            return true;
    }
    return false;
}

/* ---- rules ---- */

static void reset(struct user *u)
{
    char *name = u->name;
    u->name = NULL;
    user_free(u);
    u->name = name;
    u->payload = USER_PAYLOAD_SANITIZE;
}

/* Rules of one word. false: it is none. */
static bool apply_word(struct user *u, struct slice rule)
{
    if (slice_ieq(rule, "on") || slice_ieq(rule, "off")) {
        u->on = slice_ieq(rule, "on");
    } else if (slice_ieq(rule, "nopass") || slice_ieq(rule, "resetpass")) {
        u->nopass = slice_ieq(rule, "nopass");
        user_words_free(&u->hashes);
    } else if (slice_ieq(rule, "allkeys") || slice_ieq(rule, "resetkeys")) {
        u->all_keys = slice_ieq(rule, "allkeys");
        user_words_free(&u->keys);
    } else if (slice_ieq(rule, "allchannels") || slice_ieq(rule, "resetchannels")) {
        u->all_channels = slice_ieq(rule, "allchannels");
        user_words_free(&u->channels);
    } else if (slice_ieq(rule, "allcommands") || slice_ieq(rule, "nocommands")) {
        user_all_commands(u, slice_ieq(rule, "allcommands"));
    } else if (slice_ieq(rule, "sanitize-payload") || slice_ieq(rule, "skip-sanitize-payload")) {
        u->payload = slice_ieq(rule, "sanitize-payload") ? USER_PAYLOAD_SANITIZE : USER_PAYLOAD_SKIP;
    } else if (slice_ieq(rule, "reset")) {
        reset(u);
    } else {
        return slice_ieq(rule, "clearselectors");
    }
    return true;
}

const char *user_apply(struct user *u, struct slice rule)
{
    if (rule.n == 0)
        return NULL; /* as in Redis */
    struct slice value = {rule.p + 1, rule.n - 1};
    switch (rule.p[0]) {
    case '>':
    case '<':
    case '#':
    case '!': return apply_password(u, rule.p[0], value);
    case '~':
    case '%': return apply_key(u, rule);
    case '&': return apply_channel(u, value);
    case '+':
    case '-': return user_apply_command(u, rule);
    case '(': return "Selectors are not served by sentineld: give the rules to the user itself";
    default: return apply_word(u, rule) ? NULL : "Syntax error";
    }
}

/* ---- as text ---- */

static void put_words(struct buf *out, const char *sign, const struct user_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        buf_printf(out, "%s%s%s", i > 0 ? " " : "", sign, w->v[i]);
}

void user_put_keys(struct buf *out, const struct user *u)
{
    if (u->all_keys)
        buf_puts(out, "~*");
    put_words(out, "", &u->keys);
}

void user_put_channels(struct buf *out, const struct user *u)
{
    if (u->all_channels)
        buf_puts(out, "&*");
    put_words(out, "&", &u->channels);
}

void user_put_commands(struct buf *out, const struct user *u)
{
    buf_printf(out, "%s%s", u->all_commands ? "+@all" : "-@all", u->rules.n > 0 ? " " : "");
    put_words(out, "", &u->rules);
}

void user_put(struct buf *out, const struct user *u)
{
    static const char *const payload[] = {"", " sanitize-payload", " skip-sanitize-payload"};
    buf_printf(out, "%s%s%s ", u->on ? "on" : "off", u->nopass ? " nopass" : "", payload[u->payload]);
    for (size_t i = 0; i < u->hashes.n; i++)
        buf_printf(out, "#%s ", u->hashes.v[i]);
    user_put_keys(out, u);
    if (u->all_keys || u->keys.n > 0)
        buf_putc(out, ' ');
    if (!u->all_channels)
        buf_puts(out, "resetchannels ");
    user_put_channels(out, u);
    if (u->all_channels || u->channels.n > 0)
        buf_putc(out, ' ');
    user_put_commands(out, u);
}

bool user_read(struct user *u, struct slice text)
{
    while (text.n > 0) {
        struct slice rule = slice_cut(&text, ' ');
        if (rule.n > 0 && user_apply(u, rule) != NULL)
            return false;
    }
    user_settle(u);
    return true;
}
