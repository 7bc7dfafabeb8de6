/* SPDX-License-Identifier: GPL-2.0-only */
/* What the C programs of the tests do first. */
#ifndef TESTS_LIB_STREAMS_H
#define TESTS_LIB_STREAMS_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Opens /dev/null as each standard stream that is closed. Its number would go to the next
 * file that is opened, and what is printed would go into that: into a region.
 */
static inline void open_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		exit(2);
	close(fd);
}

#endif
