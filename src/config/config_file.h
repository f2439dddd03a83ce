/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML file, under the option table. Only config/ includes this. */
#ifndef PENSTOCK_CONFIG_CONFIG_FILE_H
#define PENSTOCK_CONFIG_CONFIG_FILE_H

#include "config/complaint.h"
#include "config/config.h"

#define CONFIG_FILE_BYTES_MAX 1048576 /* a larger one is not a configuration but a mistaken path */

/* Puts what the file sets into *config. Complains about everything else that stands there; an empty
 * file sets nothing. / */
void config_file_load(const char *file, struct config *config, struct complaints *complaints);

#endif
