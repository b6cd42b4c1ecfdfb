// SPDX-License-Identifier: MIT
/*
 * two_processes.c - a ring and a doorbell between two processes.
 *
 * The child gets the region by file descriptor, as a stranger would, attaches,
 * and sums what the parent sends. It sleeps on the doorbell when the ring is
 * empty.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinring/pinring.h>

#define ITEMS 1000000u

static int die(const char *what, int rc)
{
	fprintf(stderr, "%s: error %d: %s\n", what, -rc, pinring_error());
	return 1;
}

static int child(int socket, int eventfd)
{
	struct pinring_spsc_consumer ring;
	struct pinring_doorbell *bell;
	struct pinring_device *device;
	struct pinring_region *region;
	uint64_t item, sum = 0;
	int rc;

	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_receive(device, socket, &region);
	if (!rc)
		rc = pinring_spsc_consumer_open(region, "numbers", &ring);
	if (!rc)
		rc = pinring_doorbell_attach(region, "rung", eventfd, &bell);
	if (rc)
		return die("child", rc);
	for (;;) {
		/* First the sequence, then the ring: no ring is missed. */
		uint64_t seen = pinring_doorbell_sequence(bell);

		while ((rc = pinring_spsc_pop_u64(&ring, &item)) == 0)
			sum += item;
		if (rc != -EAGAIN)
			break;
		rc = pinring_doorbell_wait(bell, seen, 5000000000);
		if (rc)
			return die("child: the parent fell silent", rc);
	}
	if (rc != -EPIPE)
		return die("child", rc);
	printf("received %u numbers, sum %llu\n", ITEMS,
	       (unsigned long long)sum);
	return sum != (uint64_t)ITEMS * (ITEMS - 1) / 2;
}

int main(void)
{
	struct pinring_region_config config = pinring_region_defaults(1 << 20);
	struct pinring_spsc_producer ring;
	struct pinring_doorbell *bell;
	struct pinring_device *device;
	struct pinring_region *region;
	int sockets[2], status, rc;
	uint64_t i;

	rc = pinring_device_open(NULL, &device);
	if (!rc)
		rc = pinring_region_create(device, &config, &region);
	if (!rc)
		rc = pinring_spsc_create(region, "numbers", 1024, 8);
	if (!rc)
		rc = pinring_spsc_producer_open(region, "numbers", &ring);
	if (!rc)
		rc = pinring_doorbell_create(region, "rung", &bell);
	if (rc)
		return die("parent", rc);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return 1;
	if (fork() == 0)
		exit(child(sockets[1], pinring_doorbell_fd(bell)));
	rc = pinring_region_send(region, sockets[0]);
	if (rc)
		return die("parent", rc);
	for (i = 0; i < ITEMS; i++) {
		while (pinring_spsc_push_u64(&ring, i) == -EAGAIN) {
			pinring_doorbell_ring(bell);
			if (waitpid(-1, &status, WNOHANG) > 0)
				return 1; /* nobody reads on */
		}
	}
	pinring_spsc_close_producer(&ring);
	pinring_doorbell_ring(bell);
	wait(&status);
	pinring_spsc_producer_close(&ring);
	pinring_doorbell_close(bell);
	pinring_region_close(region);
	pinring_device_close(device);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}
