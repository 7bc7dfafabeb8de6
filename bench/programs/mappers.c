// SPDX-License-Identifier: GPL-2.0-only
/*
 * mappers FILE COUNT: so many processes that map a page of FILE and stay until
 * standard input ends. Writes a line when all of them have touched theirs.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tests/lib/streams.h"

static int map(const char *path, int done, int hold)
{
	int fd = open(path, O_RDWR);
	volatile int *word;
	char byte;

	if (fd < 0)
		return 1;
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (word == MAP_FAILED)
		return 1;
	/* So that the page is there. */
	(void)*word;
	if (write(done, "", 1) != 1)
		return 1;
	return read(hold, &byte, 1) != 0;
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0, done[2], hold[2], i;
	char byte;

	open_streams();
	if (count < 1 || pipe(done) || pipe(hold)) {
		fprintf(stderr, "mappers FILE COUNT\n");
		return 2;
	}
	for (i = 0; i < count; i++) {
		switch (fork()) {
		case -1:
			perror("mappers: fork");
			return 1;
		case 0:
			close(hold[1]);
			_exit(map(argv[1], done[1], hold[0]));
		}
	}
	close(done[1]);
	for (i = 0; i < count; i++)
		if (read(done[0], &byte, 1) != 1) {
			fprintf(stderr, "mappers: a process could not map %s\n", argv[1]);
			return 1;
		}
	puts("mapped");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	/* All of them are gone before this one is. */
	close(hold[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
