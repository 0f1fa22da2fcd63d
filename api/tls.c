/* tls.c - see tls.h. libmicrohttpd speaks TLS through GnuTLS; it would only say that it cannot. */
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

#include "daemon/error.h"
#include "daemon/log.h"

#define MAX_PEM_BYTES (1 << 20)
#define WARN_DAYS     14
#define DAY_S         86400

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

/* Certificate and key as GnuTLS will use them: what it says is said with both files' names. */
static enum prilora_status check_pair(const struct tls *tls, const char *cert_path,
                                      const char *key_path, struct prilora_error *err)
{
    gnutls_certificate_credentials_t credentials;
    const gnutls_datum_t cert = datum(tls->cert), key = datum(tls->key);
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

static void warn_of_expiry(const struct tls *tls, const char *path)
{
    gnutls_x509_crt_t first;
    gnutls_datum_t cert = datum(tls->cert);
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

enum prilora_status tls_open(struct tls *out, const char *cert_path, const char *key_path,
                             struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct tls){0};
    if (!*cert_path && !*key_path)
        return PRILORA_OK;
    if (!*cert_path || !*key_path)
        return error_set(err, PRILORA_EINVAL,
                         "server.tls_cert and server.tls_key: one is set, but both are needed");
    rc = read_pem(cert_path, false, &out->cert, err);
    if (rc == PRILORA_OK)
        rc = read_pem(key_path, true, &out->key, err);
    if (rc == PRILORA_OK)
        rc = check_pair(out, cert_path, key_path, err);
    if (rc == PRILORA_OK)
        warn_of_expiry(out, cert_path);
    else
        tls_close(out);
    return rc;
}

void tls_close(struct tls *tls)
{
    if (tls->key)
        explicit_bzero(tls->key, strlen(tls->key));
    free(tls->key);
    free(tls->cert);
    *tls = (struct tls){0};
}
