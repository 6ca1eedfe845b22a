/* What every command that asks supervisors takes: whom to ask, how to log in, how long to wait, how to print. */
#ifndef NODECTL_ASKING_H
#define NODECTL_ASKING_H

#include "nodectl/command.h"
#include "nodectl/fleet.h"
#include "nodectl/output.h"
#include "nodectl/targets.h"

#include <stdio.h>

/* Beside those of every command. */
enum { EXIT_NOBODY = 3 }; /* no supervisor can be asked */

/* Rows of a command's options. --fleet may stand before the noun too. */
#define ASKING_OPTIONS                                                                                      \
    {"--fleet", NULL, "NAME", "fleet of the configuration file (default: NODECTL_FLEET, or the only one)"}, \
        {"--supervisor", "-s", "ADDRESS", "host:port of a supervisor; several are separated by commas"},    \
        {"--config", "-c", "FILE",                                                                          \
         "where fleets and supervisors are listed (default ~/.config/nodectl.conf, /etc/nodectl.conf)"},    \
        {"--output", "-o", "FORMAT", "table, wide, json or yaml (default table)"},                          \
        {"--user", NULL, "NAME", "user at the supervisors; the password is in NODECTL_PASSWORD"},           \
        {"--password-file", NULL, "FILE", "its first line is the password at the supervisors"},             \
    {                                                                                                       \
        "--timeout", "-t", "TIME", "how long an answer is waited for: 500ms, 2s or 1m (default 2s)"         \
    }
/* Those of commands that speak to nodes, behind ASKING_OPTIONS: the login, and --seeds where no supervisor is
 * needed. */
#define ASKING_LOGIN_OPTIONS                                                                      \
    {"--node-user", NULL, "NAME", "user at the nodes; the password is in NODECTL_NODE_PASSWORD"}, \
    {                                                                                             \
        "--node-password-file", NULL, "FILE", "its first line is the password at the nodes"       \
    }
#define ASKING_NODES_OPTIONS                                                                                       \
    {"--seeds", NULL, "ADDRESS", "host:port of a node; several are separated by commas; no supervisor is needed"}, \
        ASKING_LOGIN_OPTIONS

/* The paragraph about them in a command's help. */
#define ASKING_TEXT                                                                                             \
    "The supervisors are those of --supervisor, else of the fleet that --fleet names, else of the variable\n"   \
    "NODECTL_SUPERVISORS, else of the configuration file. The others that they know are found and asked too.\n" \
    "redis-sentinel answers as well as sentineld.\n"

struct asking {
    enum output_format format;
    bool document; /* standard output holds one document */
    int timeout_ms;
    const char *user, *password;           /* at the supervisors; "" for none */
    const char *node_user, *node_password; /* at the nodes; "" for none */
    struct targets targets;
    char *password_read, *node_password_read; /* asking.c's: what was read from files */
};

/* Reads the options. EXIT_OK, or EXIT_USAGE with the reason on standard error; asking_free() either way.
 * asking_read(): at least one supervisor is named. asking_read_nodes(): a supervisor or a node. */
int asking_read(const struct command_call *call, struct asking *a);
/* The two halves of it, for commands that fill a->targets by themselves in between: format and timeout; and the logins,
 * of the options, the variables and a->targets. */
int asking_read_format(const struct command_call *call, struct asking *a);
int asking_read_logins(const struct command_call *call, struct asking *a);
int asking_read_nodes(const struct command_call *call, struct asking *a);
void asking_free(struct asking *a);
/* The first line of a file, for the caller to free. NULL: it cannot be read, which was said. */
char *asking_password_file(const struct command_call *call, const char *path);

/* Adds the named supervisors. */
void asking_begin(const struct asking *a, struct fleet *f);
/* The login, as the first question of a connection; nothing without a password. Returns how many questions it was. */
size_t asking_login(const struct asking *a, struct fleet_member *m);
size_t asking_login_node(const struct asking *a, struct fleet_member *m); /* the same at a node */
/* Before the questions of another round: who was lost may be back, and a new connection begins with the login. */
void asking_again(const struct asking *a, struct fleet_member *m);
void asking_again_node(const struct asking *a, struct fleet_member *m); /* the same at a node */
/* Where people read plans and questions: standard error where standard output is for a program. */
FILE *asking_people(const struct asking *a);
/* Before anything is asked. EXIT_OK: yes was said already, or somebody can say it; else EXIT_USAGE, and why was
 * said. */
int asking_can_confirm(const struct command_call *call, bool yes);
bool asking_confirmed(const struct asking *a, const char *question);
/* Says on standard error, when that is so, that nobody answers, and why not, one by one. */
bool asking_nobody(const struct command_call *call, const struct asking *a, const struct fleet *f);
/* The same of others than supervisors: "node". */
bool asking_nobody_of(const struct command_call *call, const struct asking *a, const struct fleet *f, const char *kind);

#endif
