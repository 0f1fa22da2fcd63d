/* test_notify.c - systemd's variables, right and wrong, and what is sent to its socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/notify.h"
#include "support/scratch.h"

static void systemd_is_told_over_its_socket(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct prilora_error err;
    char seen[100] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_open(&err), PRILORA_OK);
    assert_false(notify_is_open());
    notify_send("READY=1"); /* nobody asked: nothing happens */
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_open(&err), PRILORA_EINVAL);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", test_scratch_path("notify"));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "5000000", 1);
    setenv("WATCHDOG_PID", "1", 1); /* another's */
    assert_int_equal(notify_open(&err), PRILORA_OK);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_int_equal(notify_watchdog_usec(), 0);
    notify_send("READY=%d", 1);
    assert_int_equal(recv(fd, seen, sizeof seen - 1, MSG_DONTWAIT), 7);
    assert_string_equal(seen, "READY=1");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(systemd_is_told_over_its_socket)};

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
