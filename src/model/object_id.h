/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public ids of what has no name of its own: a number behind a prefix that says the kind. One
 * id has one text. A text that is none leaves *ret_id.
 */
#ifndef PENSTOCK_MODEL_OBJECT_ID_H
#define PENSTOCK_MODEL_OBJECT_ID_H

#include "base/crypto.h"

/* Endpoints: random, 63 bits, not 0; 16 hex digits of lower case. */
#define ENDPOINT_ID_TEXT_BYTES (3 + 16 + 1)
void endpoint_id_format(uint64_t id, char ret_text[ENDPOINT_ID_TEXT_BYTES]);
bool endpoint_id_parse(struct slice text, uint64_t *ret_id);

/* Secrets that partners sign with: as endpoints. */
#define PARTNER_SECRET_ID_TEXT_BYTES (4 + 16 + 1)
void partner_secret_id_format(uint64_t id, char ret_text[PARTNER_SECRET_ID_TEXT_BYTES]);
bool partner_secret_id_parse(struct slice text, uint64_t *ret_id);

/* API keys: the first 8 bytes of the SHA-256, which say nothing about the key. */
#define CREDENTIAL_ID_TEXT_BYTES (4 + 16 + 1)
uint64_t credential_id(const unsigned char credential_sha256[SHA256_BYTES]);
void credential_id_format(uint64_t id, char ret_text[CREDENTIAL_ID_TEXT_BYTES]);
bool credential_id_parse(struct slice text, uint64_t *ret_id);

/* Secrets of an endpoint: counted within it, in decimal. */
#define ENDPOINT_SECRET_ID_TEXT_BYTES (4 + 10 + 1)
void endpoint_secret_id_format(uint32_t number, char ret_text[ENDPOINT_SECRET_ID_TEXT_BYTES]);
bool endpoint_secret_id_parse(struct slice text, uint32_t *ret_number);

#endif
