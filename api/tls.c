/*
 * tls.c - see tls.h. libmicrohttpd speaks TLS through GnuTLS; of files that are wrong it would only
 * say that it cannot. For each new connection it asks for the certificate, so that a renewed one
 * needs no restart.
 */
#include "api/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/log.h"

#define MAX_PEM_BYTES (1 << 20)
#define WARN_DAYS     14
#define DAY_S         86400
#define MAX_CHAIN     16

static enum prilora_status read_all(int fd, const char *path, char *out, size_t n,
                                    struct prilora_error *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, out + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, path, "read");
        if (got == 0)
            break;
        done += (size_t)got;
    }
    out[done] = '\0';
    return PRILORA_OK;
}

static enum prilora_status read_pem(const char *path, bool is_secret, char **out,
                                    struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = error_errno(err, path, "read");
    } else if (!S_ISREG(st.st_mode) || st.st_size > MAX_PEM_BYTES) {
        rc = error_set(err, PRILORA_EFORMAT, "%s: is no PEM file", path);
    } else {
        if (is_secret && (st.st_mode & S_IROTH))
            log_warn("http", "%s: everybody on this machine can read this private key", path);
        *out = malloc((size_t)st.st_size + 1);
        rc = *out ? read_all(fd, path, *out, (size_t)st.st_size, err) : error_memory(err);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static gnutls_datum_t datum(char *text)
{
    return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

struct tls_pair {
    char *cert, *key; /* PEM */
    gnutls_pcert_st chain[MAX_CHAIN];
    unsigned n_chain;
    gnutls_privkey_t private;
    struct tls_pair *replaced; /* by this one */
};

/* Certificate and key as GnuTLS will use them: what it says is said with both files' names. */
static enum prilora_status check_pair(const struct tls_pair *pair, const char *cert_path,
                                      const char *key_path, struct prilora_error *err)
{
    gnutls_certificate_credentials_t credentials;
    const gnutls_datum_t cert = datum(pair->cert), key = datum(pair->key);
    int code = gnutls_certificate_allocate_credentials(&credentials);

    if (code != GNUTLS_E_SUCCESS)
        return error_memory(err);
    code = gnutls_certificate_set_x509_key_mem2(credentials, &cert, &key, GNUTLS_X509_FMT_PEM, NULL,
                                                0);
    gnutls_certificate_free_credentials(credentials);
    if (code >= 0)
        return PRILORA_OK;
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set(err, PRILORA_EMISMATCH,
                         "%s (server.tls_cert) and %s (server.tls_key) do not belong together",
                         cert_path, key_path);
    return error_set(err, PRILORA_EFORMAT,
                     "%s (server.tls_cert) and %s (server.tls_key): no certificate and private key "
                     "in PEM, without a password: %s",
                     cert_path, key_path, gnutls_strerror(code));
}

static enum prilora_status import(struct tls_pair *pair, const char *cert_path,
                                  struct prilora_error *err)
{
    const gnutls_datum_t cert = datum(pair->cert), key = datum(pair->key);
    unsigned n = MAX_CHAIN;
    int code = gnutls_pcert_list_import_x509_raw(pair->chain, &n, &cert, GNUTLS_X509_FMT_PEM,
                                                 GNUTLS_X509_CRT_LIST_SORT);

    if (code >= 0) {
        pair->n_chain = n;
        code = gnutls_privkey_init(&pair->private);
    }
    if (code >= 0)
        code = gnutls_privkey_import_x509_raw(pair->private, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code >= 0)
        return PRILORA_OK;
    return error_set(err, PRILORA_EFORMAT,
                     "%s (server.tls_cert): a chain of at most %d certificates, ours first, is "
                     "needed: %s",
                     cert_path, MAX_CHAIN, gnutls_strerror(code));
}

static void warn_of_expiry(const struct tls_pair *pair, const char *path)
{
    gnutls_x509_crt_t first;
    gnutls_datum_t cert = datum(pair->cert);
    double days;

    if (gnutls_x509_crt_init(&first) != GNUTLS_E_SUCCESS)
        return;
    if (gnutls_x509_crt_import(first, &cert, GNUTLS_X509_FMT_PEM) == GNUTLS_E_SUCCESS) {
        days = difftime(gnutls_x509_crt_get_expiration_time(first), time(NULL)) / DAY_S;
        if (days < 0)
            log_warn("http", "%s: this certificate has expired", path);
        else if (days < WARN_DAYS)
            log_warn("http", "%s: this certificate expires in %.0f days", path, days);
    }
    gnutls_x509_crt_deinit(first);
}

void tls_drop(struct tls_pair *pair)
{
    if (!pair)
        return;
    for (unsigned i = 0; i < pair->n_chain; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    gnutls_privkey_deinit(pair->private);
    if (pair->key)
        explicit_bzero(pair->key, strlen(pair->key));
    free(pair->key);
    free(pair->cert);
    free(pair);
}

static enum prilora_status read_pair(struct tls_pair *pair, const char *cert_path,
                                     const char *key_path, struct prilora_error *err)
{
    enum prilora_status rc = read_pem(cert_path, false, &pair->cert, err);

    if (rc == PRILORA_OK)
        rc = read_pem(key_path, true, &pair->key, err);
    if (rc == PRILORA_OK)
        rc = check_pair(pair, cert_path, key_path, err);
    if (rc == PRILORA_OK)
        rc = import(pair, cert_path, err);
    if (rc == PRILORA_OK)
        warn_of_expiry(pair, cert_path);
    return rc;
}

enum prilora_status tls_read(struct tls_pair **out, const char *cert, const char *key,
                             struct prilora_error *err)
{
    struct tls_pair *pair;
    char *cert_path, *key_path = NULL;
    enum prilora_status rc;

    *out = NULL;
    if (!*cert && !*key)
        return PRILORA_OK;
    if (!*cert || !*key)
        return error_set(err, PRILORA_EINVAL,
                         "server.tls_cert and server.tls_key: one is set, but both are needed");
    pair = calloc(1, sizeof *pair);
    cert_path = credential_path("server.tls_cert", cert, err);
    if (cert_path)
        key_path = credential_path("server.tls_key", key, err);
    rc = !pair      ? error_memory(err)
         : key_path ? read_pair(pair, cert_path, key_path, err)
                    : err->status;
    if (rc == PRILORA_OK)
        *out = pair;
    else
        tls_drop(pair);
    free(cert_path);
    free(key_path);
    return rc;
}

/* ---- the one that is used ---- */

static _Atomic(struct tls *) used;

enum prilora_status tls_open(struct tls *out, const char *cert, const char *key,
                             struct prilora_error *err)
{
    struct tls_pair *pair;
    enum prilora_status rc = tls_read(&pair, cert, key, err);

    atomic_init(&out->pair, pair);
    if (rc == PRILORA_OK)
        atomic_store(&used, out);
    return rc;
}

bool tls_take(struct tls *tls, struct tls_pair *pair)
{
    struct tls_pair *before = atomic_load(&tls->pair);

    if (!pair)
        return false;
    if (!before || (strcmp(before->cert, pair->cert) == 0 && strcmp(before->key, pair->key) == 0)) {
        tls_drop(pair);
        return false;
    }
    pair->replaced = before;
    atomic_store(&tls->pair, pair);
    return true;
}

int tls_give_pair(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                  const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
                  gnutls_pcert_st **certs, unsigned *n_certs, gnutls_privkey_t *key)
{
    struct tls *tls = atomic_load(&used);
    struct tls_pair *pair = tls ? atomic_load(&tls->pair) : NULL;

    (void)session, (void)authorities, (void)n_authorities, (void)algorithms, (void)n_algorithms;
    if (!pair)
        return -1;
    *certs = pair->chain;
    *n_certs = pair->n_chain;
    *key = pair->private;
    return 0;
}

void tls_close(struct tls *tls)
{
    struct tls_pair *pair = atomic_exchange(&tls->pair, NULL);
    struct tls *self = tls;

    atomic_compare_exchange_strong(&used, &self, NULL);
    while (pair) {
        struct tls_pair *replaced = pair->replaced;

        tls_drop(pair);
        pair = replaced;
    }
}
