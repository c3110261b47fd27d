/* stop: asks a loop to end, from any thread and any signal handler, until the driver is freed.
 *
 * A descriptor of its own, which lives as long as the driver: libuv's way to wake a loop ends with
 * the loop, and aborts after that; a signal does not know whether it is over.
 *
 * Enters from driver_stop; leaves to the next turn of driver.c, which sees stop_asked. */
#include "io/driver_priv.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_stop(uv_poll_t *poll, int status, int events)
{
    const struct driver *driver = poll->data;
    uint64_t asked;
    (void)events;
    if (status < 0 || read(driver->stop_fd, &asked, sizeof asked) < 0)
        return; /* it was read already: the turn comes all the same */
}

int stop_init(struct driver *driver)
{
    driver->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (driver->stop_fd < 0)
        return -errno;
    driver->stop_poll.data = driver;
    int status = uv_poll_init(&driver->loop, &driver->stop_poll, driver->stop_fd);
    return status < 0 ? status : uv_poll_start(&driver->stop_poll, UV_READABLE, on_stop);
}

void stop_close(const struct driver *driver)
{
    if (driver->stop_fd >= 0)
        close(driver->stop_fd);
}

void driver_stop(struct driver *driver)
{
    const uint64_t one = 1;
    int error = errno;
    atomic_store(&driver->stop_asked, true);
    if (write(driver->stop_fd, &one, sizeof one) < 0)
        assert(errno == EAGAIN); /* asked for very often, and not heard yet */
    errno = error;
}
