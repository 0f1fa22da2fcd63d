/*
 * credential.h - files that settings name: by a path, or by the name of one of systemd's
 * credentials (LoadCredential= and the like, files in $CREDENTIALS_DIRECTORY).
 */
#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include "prilora.h"

/* The file that `value` of `setting` ("server.tls_key") names, a credential if there is no '/' in
 * it. Free it. NULL: ENOENT, there are no credentials; or ENOMEM. */
char *credential_path(const char *setting, const char *value, struct prilora_error *err);

/* Whether there is a credential of this name. */
bool credential_exists(const char *name);

#endif
