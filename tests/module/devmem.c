// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user program of the old example, as it was: /dev/mem, one struct, a prompt,
 * atoi. The address is its argument, of a region made with --phys.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/streams.h"

struct shared_mem_struct {
	int some_int;
	char ready;
};

/* What EPERM may come of, too. */
static void refused(const char *what, const char *forbidden_by)
{
	bool forbidden = errno == EPERM;

	perror(what);
	if (forbidden)
		fprintf(stderr, "%s\n", forbidden_by);
}

int main(int argc, char **argv)
{
	struct shared_mem_struct *shared_mem;
	char input[40];
	off_t address;
	int memfd;

	open_streams();
	if (argc != 2) {
		fprintf(stderr, "usage: devmem ADDRESS\n");
		return 2;
	}
	address = strtoull(argv[1], NULL, 0);

	/* No O_SYNC: it asks for uncached memory, and the region's is cached. */
	memfd = open("/dev/mem", O_RDWR);
	if (memfd < 0) {
		refused("/dev/mem", "no CAP_SYS_RAWIO, or lockdown: see /sys/kernel/security/lockdown");
		return 1;
	}
	shared_mem = mmap(0, sizeof(struct shared_mem_struct), PROT_READ | PROT_WRITE,
			  MAP_FILE | MAP_SHARED, memfd, address);
	if (shared_mem == MAP_FAILED) {
		refused("mmap", "STRICT_DEVMEM (System RAM) or IO_STRICT_DEVMEM (a driver): see /proc/iomem");
		close(memfd);
		return 1;
	}
	printf("enter # or <quit>\n");
	fflush(stdout);
	do {
		if (scanf("%39s", input) != 1)
			break;
		shared_mem->some_int = atoi(input);
		shared_mem->ready = 1;
	} while (strcmp("quit", input));
	munmap(shared_mem, sizeof(struct shared_mem_struct));
	close(memfd);
	return 0;
}
