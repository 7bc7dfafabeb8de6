// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user program of the old example: one struct at offset 0, a prompt, atoi.
 * It knows nothing of rtshm but the path of the device.
 */
#include <fcntl.h>
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

int main(void)
{
	struct shared_mem_struct *shared_mem;
	char input[40];
	int memfd;

	open_streams();
	memfd = open("/dev/rtshm/default", O_RDWR);
	if (memfd < 0) {
		perror("/dev/rtshm/default");
		return 1;
	}
	shared_mem = mmap(0, sizeof(struct shared_mem_struct), PROT_READ | PROT_WRITE,
			  MAP_FILE | MAP_SHARED, memfd, 0);
	if (shared_mem == MAP_FAILED) {
		perror("mmap");
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
