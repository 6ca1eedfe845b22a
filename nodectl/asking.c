#include "nodectl/asking.h"

#include "common/io/file.h"
#include "nodectl/duration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 2000
#define TIMEOUT_MAX_MS 600000
#define PASSWORD_MAX 4096

static const char *or_none(const char *text)
{
    return text != NULL ? text : "";
}

char *asking_password_file(const struct command_call *call, const char *path)
{
    struct buf text = {0}, error = {0};
    bool read = io_file_read(path, PASSWORD_MAX, &text, &error);
    if (!read)
        command_fail(call, EXIT_USAGE, "the password cannot be read: %s", buf_str(&error));
    struct slice rest = buf_slice(&text);
    char *password = read ? slice_dup(slice_cut_line(&rest)) : NULL;
    buf_free(&text);
    buf_free(&error);
    return password;
}

/* A user and a password: options, else the variable, else what the fleet's record says. */
static int read_login(const struct command_call *call, struct asking *a, const char *prefix, const char *variable,
                      const char *user, const char *file, const char **to_user, const char **to_password)
{
    char user_option[32], file_option[32];
    snprintf(user_option, sizeof user_option, "--%suser", prefix);
    snprintf(file_option, sizeof file_option, "--%spassword-file", prefix);
    const char *given = command_value(call, file_option), *known = getenv(variable);
    const char *named = command_value(call, user_option);
    *to_user = or_none(named != NULL ? named : user);
    *to_password = or_none(known);
    if (given != NULL || (*to_password[0] == '\0' && file != NULL)) {
        char **read = to_password == &a->password ? &a->password_read : &a->node_password_read;
        *read = asking_password_file(call, given != NULL ? given : file);
        if (*read == NULL)
            return EXIT_USAGE;
        *to_password = *read;
    }
    if (*to_user[0] != '\0' && *to_password[0] == '\0')
        return command_fail(call, EXIT_USAGE, "%s needs a password: give %s FILE, or set %s", user_option, file_option,
                            variable);
    return EXIT_OK;
}

/* nodes: those of --seeds may be asked instead of supervisors. */
static int find_targets(const struct command_call *call, struct asking *a, bool nodes)
{
    struct buf error = {0};
    struct targets_wish wish = {.supervisors = command_value(call, "--supervisor"),
                                .seeds = nodes ? command_value(call, "--seeds") : NULL,
                                .fleet = command_value(call, "--fleet"),
                                .config = command_value(call, "--config")};
    bool found = targets_find(&a->targets, &wish, &error);
    if (!found) {
        if (error.n > 0 && error.p[error.n - 1] == '\n')
            error.n--;
        command_fail(call, EXIT_USAGE, "%s", buf_str(&error));
    }
    buf_free(&error);
    return found ? EXIT_OK : EXIT_USAGE;
}

int asking_read_format(const struct command_call *call, struct asking *a)
{
    const char *timeout = command_value(call, "--timeout");
    int64_t ms = TIMEOUT_MS;
    *a = (struct asking){.user = "", .password = "", .node_user = "", .node_password = ""};
    int code = output_format(call, &a->format);
    if (code != EXIT_OK)
        return code;
    if (timeout != NULL && !duration_parse(timeout, 1, TIMEOUT_MAX_MS, &ms))
        return command_fail(call, EXIT_USAGE, "--timeout is '%s', but must be a time from 1ms to 10m, as 500ms or 2s",
                            timeout);
    a->document = output_is_document(a->format);
    a->timeout_ms = (int)ms;
    return EXIT_OK;
}

int asking_read_logins(const struct command_call *call, struct asking *a)
{
    int code = read_login(call, a, "", "NODECTL_PASSWORD", a->targets.user, a->targets.password_file, &a->user,
                          &a->password);
    if (code == EXIT_OK)
        code = read_login(call, a, "node-", "NODECTL_NODE_PASSWORD", a->targets.node_user,
                          a->targets.node_password_file, &a->node_user, &a->node_password);
    return code;
}

static int read_all(const struct command_call *call, struct asking *a, bool nodes)
{
    int code = asking_read_format(call, a);
    if (code == EXIT_OK)
        code = find_targets(call, a, nodes);
    if (code == EXIT_OK)
        code = asking_read_logins(call, a);
    return code;
}

int asking_read_nodes(const struct command_call *call, struct asking *a)
{
    return read_all(call, a, true);
}

int asking_read(const struct command_call *call, struct asking *a)
{
    int code = read_all(call, a, false);
    if (code == EXIT_OK && a->targets.supervisors.n == 0)
        code = command_fail(call, EXIT_USAGE,
                            "no supervisor is named: %s names nodes only; give --supervisor host:port",
                            a->targets.source);
    return code;
}

void asking_free(struct asking *a)
{
    targets_free(&a->targets);
    free(a->password_read);
    free(a->node_password_read);
    a->password_read = a->node_password_read = NULL;
}

void asking_begin(const struct asking *a, struct fleet *f)
{
    fleet_init(f, a->timeout_ms);
    for (size_t i = 0; i < a->targets.supervisors.n; i++) {
        bool added;
        fleet_add(f, &a->targets.supervisors.v[i], true, &added);
    }
}

static size_t login(const char *user, const char *password, struct fleet_member *m)
{
    const char *with_user[] = {"AUTH", user, password}, *without[] = {"AUTH", password};
    if (password[0] == '\0')
        return 0;
    if (user[0] != '\0')
        fleet_ask(m, 3, with_user);
    else
        fleet_ask(m, 2, without);
    return 1;
}

size_t asking_login(const struct asking *a, struct fleet_member *m)
{
    return login(a->user, a->password, m);
}

size_t asking_login_node(const struct asking *a, struct fleet_member *m)
{
    return login(a->node_user, a->node_password, m);
}

static void again(const struct asking *a, struct fleet_member *m,
                  size_t (*login_to)(const struct asking *a, struct fleet_member *m))
{
    if (m->error != NULL)
        fleet_retry(m);
    if (m->fd < 0)
        login_to(a, m);
}

void asking_again(const struct asking *a, struct fleet_member *m)
{
    again(a, m, asking_login);
}

void asking_again_node(const struct asking *a, struct fleet_member *m)
{
    again(a, m, asking_login_node);
}

FILE *asking_people(const struct asking *a)
{
    return a->document ? stderr : stdout;
}

int asking_can_confirm(const struct command_call *call, bool yes)
{
    if (yes || isatty(STDIN_FILENO))
        return EXIT_OK;
    return command_fail(call, EXIT_USAGE,
                        "standard input is no terminal, so nobody can be asked: give --yes to do it without asking");
}

bool asking_confirmed(const struct asking *a, const char *question)
{
    char line[16] = "";
    FILE *out = asking_people(a);
    fprintf(out, "%s [y/N] ", question);
    fflush(out);
    if (fgets(line, sizeof line, stdin) == NULL)
        fputc('\n', out);
    return line[0] == 'y' || line[0] == 'Y';
}

bool asking_nobody_of(const struct command_call *call, const struct asking *a, const struct fleet *f, const char *kind)
{
    struct buf lines = {0};
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i]->error == NULL)
            return false;
    command_fail(call, EXIT_NOBODY, "no %s can be asked (they are named by %s):", kind, a->targets.source);
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        buf_printf(&lines, "%s: %s\n", addr_text(&f->members[i]->addr, text), f->members[i]->error);
    }
    command_fail_lines(call, buf_slice(&lines));
    buf_free(&lines);
    return true;
}

bool asking_nobody(const struct command_call *call, const struct asking *a, const struct fleet *f)
{
    return asking_nobody_of(call, a, f, "supervisor");
}
