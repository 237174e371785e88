/* Registry credentials from a docker config.json. */
#ifndef BERTH_ENGINE_CREDENTIALS_H
#define BERTH_ENGINE_CREDENTIALS_H

#include "base/error.h"

/* Looks in `config` (JSON text of ~/.docker/config.json's form: "auths":
 * {HOST: {"auth": base64 of "user:password"}}) for the registry that `image`
 * comes from. *auth gets the value of X-Registry-Auth (base64url of JSON), or
 * NULL where the file has none; the caller wipes and frees it. */
int credentials_find(const char *config, const char *image, char **auth, struct error **err);

#endif
