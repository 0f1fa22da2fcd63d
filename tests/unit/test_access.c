/* The parts of api/ that tell friends from strangers: names in Host, origins, addresses, attempts.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/attempts.h"
#include "api/listen.h"
#include "api/origin.h"
#include "api/peer.h"
#include "support/scratch.h"

static void addresses_and_our_own_names_are_hosts_of_ours(void **state)
{
    static const struct {
        const char *host, *listen, *allowed;
        bool own;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:8471", "", true},
        {"127.0.0.1:8471", "127.0.0.1:8471", "", true},
        {"192.0.2.7:1", "127.0.0.1:8471", "", true},
        {"[::1]:8471", "127.0.0.1:8471", "", true},
        {"[2001:db8::1]", "127.0.0.1:8471", "", true},
        {"localhost", "127.0.0.1:8471", "", true},
        {"LocalHost:99", "127.0.0.1:8471", "", true},
        {"tuner", "tuner:8471", "", true},
        {"Tuner:80", "tuner:8471", "", true},
        {"a.example", "127.0.0.1:8471", "b.example, A.example", true},
        {"a.example:443", "127.0.0.1:8471", "b.example a.example", true},
        {"whatever.example", ":8471", "*", true},
        {"a.example", "127.0.0.1:8471", "", false},
        {"a.example", "127.0.0.1:8471", "b.example", false},
        {"b.example.evil", "127.0.0.1:8471", "b.example", false},
        {"xb.example", "127.0.0.1:8471", "b.example", false},
        {"127.0.0.1.evil.example", "127.0.0.1:8471", "", false},
        {"127.0.0.1:80.evil.example", "127.0.0.1:8471", "", false},
        {"localhost.evil.example", "127.0.0.1:8471", "", false},
        {"localhost:80@evil.example", "127.0.0.1:8471", "", false},
        {"[::1].evil.example", "127.0.0.1:8471", "", false},
        {"[::1", "127.0.0.1:8471", "", false},
        {"[evil.example]", "127.0.0.1:8471", "", false},
        {"[127.0.0.1]", "127.0.0.1:8471", "", false},
        {"::1", "127.0.0.1:8471", "", false},
        {":8471", ":8471", "", false},
        {"", ":8471", "", false},
        {"*", "127.0.0.1:8471", "a.example", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (origin_is_own_host(cases[i].host, cases[i].listen, cases[i].allowed) != cases[i].own)
            fail_msg("\"%s\" with listen \"%s\" and \"%s\"", cases[i].host, cases[i].listen,
                     cases[i].allowed);
}

static void an_origin_is_ours_if_it_leads_to_the_host(void **state)
{
    static const struct {
        const char *origin, *host;
        bool same;
    } cases[] = {
        {"http://127.0.0.1:8471", "127.0.0.1:8471", true},
        {"http://LOCALHOST:8471", "localhost:8471", true},
        {"http://[::1]:8471", "[::1]:8471", true},
        {"https://a.example", "a.example", true},
        {"https://a.example", "a.example:443", true},
        {"http://a.example", "a.example:80", true},
        {"https://a.example:8443", "a.example:8443", true},
        {"http://127.0.0.1:3000", "127.0.0.1:8471", false},
        {"http://127.0.0.1", "127.0.0.1:8471", false},
        {"http://a.example", "a.example:443", false},
        {"http://evil.example", "a.example", false},
        {"http://a.example.evil", "a.example", false},
        {"null", "a.example", false},
        {"", "a.example", false},
        {"a.example", "a.example", false},
        {"ftp://a.example", "a.example", false},
        {"http://", "", false},
        {"http://", ":80", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (origin_is_same(cases[i].origin, cases[i].host) != cases[i].same)
            fail_msg("\"%s\" and host \"%s\"", cases[i].origin, cases[i].host);
}

static void check_address(int family, const char *text, const char *described, bool loopback)
{
    struct sockaddr_storage storage = {.ss_family = (sa_family_t)family};
    char out[PEER_ADDRESS_SIZE];
    void *at = family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)&storage)->sin_addr
                                 : (void *)&((struct sockaddr_in6 *)(void *)&storage)->sin6_addr;

    assert_int_equal(inet_pton(family, text, at), 1);
    assert_int_equal(peer_describe((const struct sockaddr *)&storage, out), loopback);
    assert_string_equal(out, described);
}

static void loopback_is_told_from_the_rest(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char out[PEER_ADDRESS_SIZE];

    (void)state;
    check_address(AF_INET, "127.0.0.1", "127.0.0.1", true);
    check_address(AF_INET, "127.9.8.7", "127.9.8.7", true);
    check_address(AF_INET, "128.0.0.1", "128.0.0.1", false);
    check_address(AF_INET, "10.0.0.1", "10.0.0.1", false);
    check_address(AF_INET, "0.0.0.0", "0.0.0.0", false);
    check_address(AF_INET6, "::1", "::1", true);
    check_address(AF_INET6, "::ffff:127.0.0.1", "127.0.0.1", true);
    check_address(AF_INET6, "::ffff:192.0.2.1", "192.0.2.1", false);
    check_address(AF_INET6, "::127.0.0.1", "::127.0.0.1", false);
    check_address(AF_INET6, "2001:db8::1", "2001:db8::1", false);
    assert_false(peer_describe((const struct sockaddr *)&local, out));
}

/* ---- attempts ---- */

static void attempts_slide_out_of_the_window(void **state)
{
    struct attempts *attempts = calloc(1, sizeof *attempts);
    int64_t t = 1000;

    (void)state;
    assert_non_null(attempts);
    attempts_init(attempts);
    for (int i = 0; i < 20; i++, t += 1000)
        assert_int_equal(attempts_count(attempts, "192.0.2.1", t), 0);
    /* 20 came in the 20 s before: the first, at 1 s, leaves at 61 s */
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 21000), 40);
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 60999), 1);
    assert_int_equal(attempts_count(attempts, "192.0.2.2", 60999), 0);
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 61000), 0);
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 61001), 1); /* the next leaves at 62 s */
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 62000), 0);
    attempts_destroy(attempts);
    free(attempts);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    struct attempts *attempts = calloc(1, sizeof *attempts);
    char address[64];

    (void)state;
    assert_non_null(attempts);
    attempts_init(attempts);
    for (int i = 1; i <= 20; i++) {
        snprintf(address, sizeof address, "2001:db8:0:1:%x::%x", i, i);
        assert_int_equal(attempts_count(attempts, address, 1000), 0);
    }
    assert_int_equal(attempts_count(attempts, "2001:db8:0:1:ffff::1", 1000), 60);
    assert_int_equal(attempts_count(attempts, "2001:db8:0:2::1", 1000), 0);
    attempts_destroy(attempts);
    free(attempts);
}

static void many_addresses_push_out_the_quietest(void **state)
{
    struct attempts *attempts = calloc(1, sizeof *attempts);
    char address[64];

    (void)state;
    assert_non_null(attempts);
    attempts_init(attempts);
    for (int i = 0; i < 20; i++)
        attempts_count(attempts, "192.0.2.1", 5000);
    for (int i = 0; i < ATTEMPTS_ADDRESSES - 1; i++) { /* one short of all: it is still known */
        snprintf(address, sizeof address, "10.0.%d.%d", i / 256, i % 256);
        assert_int_equal(attempts_count(attempts, address, 6000), 0);
    }
    assert_true(attempts_count(attempts, "192.0.2.1", 6000) > 0);
    assert_int_equal(attempts_count(attempts, "10.1.0.1", 6000), 0);
    assert_int_equal(attempts_count(attempts, "192.0.2.1", 6000), 0); /* forgotten */
    attempts_destroy(attempts);
    free(attempts);
}

/* ---- the Unix socket's file ---- */

static void a_socket_has_its_mode_and_a_stale_one_is_replaced(void **state)
{
    const char *path = test_scratch_path("a.sock");
    struct prilora_error err;
    struct stat st;
    int fd, again;

    (void)state;
    assert_int_equal(listen_open_unix(path, 0600, &fd, &err), PRILORA_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(listen_open_unix(path, 0660, &again, &err), PRILORA_EIO);
    assert_non_null(strstr(err.message, "somebody listens there already"));
    assert_non_null(strstr(err.message, path));
    close(fd); /* as when a program dies: the file stays */
    assert_int_equal(listen_open_unix(path, 0666, &fd, &err), PRILORA_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    close(fd);
}

static void other_files_are_not_taken_for_sockets(void **state)
{
    const char *path = test_scratch_write("notes", "keep me", 7);
    struct prilora_error err;
    struct stat st;
    char name[200];
    int fd;

    (void)state;
    assert_int_equal(listen_open_unix(path, 0660, &fd, &err), PRILORA_EIO);
    assert_non_null(strstr(err.message, "is no socket"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 7);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(listen_open_unix(name, 0660, &fd, &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "at most 107 bytes"));
    assert_int_equal(listen_open_unix(test_scratch_path("no/such/folder"), 0660, &fd, &err),
                     PRILORA_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_our_own_names_are_hosts_of_ours),
        cmocka_unit_test(an_origin_is_ours_if_it_leads_to_the_host),
        cmocka_unit_test(loopback_is_told_from_the_rest),
        cmocka_unit_test(attempts_slide_out_of_the_window),
        cmocka_unit_test(a_network_of_ipv6_is_one_address),
        cmocka_unit_test(many_addresses_push_out_the_quietest),
        cmocka_unit_test(a_socket_has_its_mode_and_a_stale_one_is_replaced),
        cmocka_unit_test(other_files_are_not_taken_for_sockets),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
