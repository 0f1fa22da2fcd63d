/* tls.h - the certificate and key files, looked at before anybody connects. */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>

#include "prilora.h"

/* TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-128-CBC:-AES-256-CBC:%SERVER_PRECEDENCE"

struct tls {
    char *cert, *key; /* PEM; NULL: no TLS */
};

/* Empty paths: no TLS. EINVAL, EFORMAT or EIO with the file's name if one is missing, is no PEM, or
 * the two do not belong together. Warns of what works now and may not tomorrow. */
enum prilora_status tls_open(struct tls *out, const char *cert_path, const char *key_path,
                             struct prilora_error *err);
void tls_close(struct tls *tls); /* the key is wiped */

#endif
