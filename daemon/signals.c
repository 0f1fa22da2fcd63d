/*
 * signals.c - see signals.h.
 *
 * OpenBLAS makes threads while the program is loaded, before anything could be blocked: a signal
 * that one of them is given is handed on to main.
 */
#include "daemon/signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static pthread_t main_thread;
static sigset_t ours;

static void hand_to_main(int number)
{
    pthread_kill(main_thread, number);
}

void signals_block(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = hand_to_main, .sa_flags = SA_RESTART};

    main_thread = pthread_self();
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&ours, numbers[i]);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int signals_wait(long seconds)
{
    const struct timespec time = {.tv_sec = seconds};
    int number = sigtimedwait(&ours, NULL, &time);

    return number > 0 ? number : 0;
}

bool signals_ask_for_end(void)
{
    sigset_t waiting;

    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGTERM) || sigismember(&waiting, SIGINT));
}

/* Whatever is lost by this is found again at the next start: checkpoints and database are on disk.
 */
static void exit_now(int number)
{
    static const char text[] = "main: second signal, ending at once\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

void signals_let_end(void)
{
    struct sigaction action = {.sa_handler = exit_now};
    sigset_t set;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
