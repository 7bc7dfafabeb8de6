// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client of 32 bits, with the installed header:
 *
 *     client VALUE    publishes VALUE in the region "default", waits until a tick took
 *                     it, and prints the value of the sample that says so
 *
 * Compiled on the host, gcc -m32: tests/lib/deb.py.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/rtshm.h>

#include "../lib/streams.h"

_Static_assert(sizeof(void *) == 4, "to be compiled with -m32");
_Static_assert(sizeof(struct rtshm_word) == 8, "as on 64 bits");
_Static_assert(sizeof(struct rtshm_sample) == 32, "as on 64 bits");
_Static_assert(sizeof(struct rtshm_watermark) == 16, "as on 64 bits");

#define PATIENCE_MS	20000

static void wait_for(int fd, short events)
{
	struct pollfd poller = { .fd = fd, .events = events };

	if (poll(&poller, 1, PATIENCE_MS) != 1 || !(poller.revents & events))
		errx(1, "not ready within %d ms", PATIENCE_MS);
}

int main(int argc, char **argv)
{
	const struct rtshm_watermark watermark = { .samples = 2 };
	unsigned char buffer[64 * 40];
	struct rtshm_sample *sample;
	struct rtshm_word *word, seen;
	int state, samples;
	ssize_t len, pos;

	open_streams();
	if (argc != 2)
		errx(2, "usage: client VALUE");
	state = open("/dev/rtshm/default", O_RDWR);
	samples = open("/dev/rtshm/default.samples", O_RDONLY);
	if (state < 0 || samples < 0)
		err(1, "/dev/rtshm/default and its samples");
	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
	if (word == MAP_FAILED)
		err(1, "mmap");
	if (ioctl(samples, RTSHM_IOC_WATERMARK, &watermark))
		err(1, "RTSHM_IOC_WATERMARK");

	word->some_int = atoi(argv[1]);
	__atomic_store_n(&word->ready, 1, __ATOMIC_RELEASE);
	wait_for(state, POLLOUT);

	/* The record is the word: record-bytes 8. */
	for (;;) {
		wait_for(samples, POLLIN);
		len = read(samples, buffer, sizeof(buffer));
		if (len <= 0 || len % 40)
			errx(1, "read of samples: %zd", len);
		for (pos = 0; pos < len; pos += 40) {
			sample = (void *)(buffer + pos);
			memcpy(&seen, sample->record, sizeof(seen));
			if (sample->flags & RTSHM_SAMPLE_ANNOUNCED) {
				printf("%d\n", seen.some_int);
				return 0;
			}
		}
	}
}
