/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a configuration beyond its single values. Each complains about the option. */
#ifndef PENSTOCK_CONFIG_CONFIG_CHECK_H
#define PENSTOCK_CONFIG_CONFIG_CHECK_H

#include "config/complaint.h"
#include "config/config.h"

/* Options that contradict each other. */
void config_check(const struct config *config, struct complaints *complaints);

/* For a gateway that is to run: the files that options name, and the data directory. Looks only,
 * and makes nothing. */
void config_check_files(const struct config *config, struct complaints *complaints);
void config_check_data_directory(const struct config *config, struct complaints *complaints);

/* The parts of config_check and config_check_files for the listeners (config_check_tls.c). */
void config_check_tls(const struct config *config, struct complaints *complaints);
void config_check_tls_files(const struct config *config, struct complaints *complaints);

#endif
