/* tls.h - the certificate and key files, looked at before anybody connects. */
#ifndef TLS_H
#define TLS_H

#include <gnutls/abstract.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "prilora.h"

/* TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-AES-128-CBC:-AES-256-CBC:%SERVER_PRECEDENCE"

/*
 * Certificate and key, which new connections get; tls_take puts others in their place. What was
 * replaced stays until tls_close, since handshakes may still use it.
 */
struct tls_pair;

struct tls {
    _Atomic(struct tls_pair *) pair; /* NULL: no TLS */
};

/* Empty names: no TLS. EINVAL, EFORMAT, ENOENT or EIO with the file's name if one is missing, is no
 * PEM, or the two do not belong together. Warns of what works now and may not tomorrow. */
enum prilora_status tls_open(struct tls *out, const char *cert, const char *key,
                             struct prilora_error *err);
void tls_close(struct tls *tls); /* the keys are wiped */

/* Reads the files for tls_take or tls_drop (accepts NULL). */
enum prilora_status tls_read(struct tls_pair **out, const char *cert, const char *key,
                             struct prilora_error *err);
/* Whether it is another one than before; where there was none, there is none still. */
bool tls_take(struct tls *tls, struct tls_pair *pair);
void tls_drop(struct tls_pair *pair);

/* MHD_OPTION_HTTPS_CERT_CALLBACK, which has no context: a process has one struct tls that is used
 * by it, the one that was opened last. */
int tls_give_pair(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                  const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                  gnutls_pcert_st **certs, unsigned *n_certs, gnutls_privkey_t *key);

#endif
