/* What the files of the configuration loader share. Only config*.c include it. */
#ifndef SHELL_CONFIG_INNER_H
#define SHELL_CONFIG_INNER_H

#include "sentineld/shell/config.h"

#define CONFIG_MS_MAX INT32_MAX /* 24 days */
#define CONFIG_NAME_MAX 255     /* bytes of a name of a group, a cluster or a user */
#define CONFIG_SECRET_MAX 4096  /* bytes of a password */
#define CONFIG_PATH_MAX 4096

/* Rows of the top table, called for one element. target and conf_reader.context are the struct sentineld_config, in
 * which everything that stands above `groups` in the table has been read. */
void config_read_group(struct conf_reader *r, const config_setting_t *element, void *target);
void config_read_cluster(struct conf_reader *r, const config_setting_t *element, void *target);
void config_read_hook(struct conf_reader *r, const config_setting_t *element, void *target);

void config_group_free(struct config_group *g);
void config_cluster_free(struct config_cluster *c);

/* Hosts must be IP literals unless resolve_hostnames is on. key: the setting's key in `at`, a string or a list of them.
 */
void config_check_hosts(struct conf_reader *r, const config_setting_t *at, const char *key, const struct addr *v,
                        size_t n);
/* A user without a password cannot be used. */
void config_check_login(struct conf_reader *r, const config_setting_t *at, const char *user, const char *password);
/* Finds the daemon itself in `supervisors` and sets c->self. */
void config_find_self(struct conf_reader *r, const config_setting_t *root, struct sentineld_config *c);

#endif
