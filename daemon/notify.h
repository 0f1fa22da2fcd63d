/* notify.h - telling systemd (Type=notify) how the daemon stands; nothing without $NOTIFY_SOCKET.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

/* "READY=1", "STOPPING=1", with "\nSTATUS=..." if wanted; see sd_notify(3). */
void notify_systemd(const char *state);

#endif
