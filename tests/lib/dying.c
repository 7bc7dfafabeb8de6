// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writers that die:
 *
 *     dying PATH COUNT PERIOD_US SEED
 *
 * One after the other, COUNT writers write numbers over the setpoint of the region at
 * PATH, and announce them, about once in PERIOD_US. Each is killed after up to 16 of these
 * times, wherever it is. Then this waits for the safe values' mark, and re-arms.
 * The record is a setpoint and a mark, both 32 bits.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/rtshm.h>

struct region {
	struct rtshm_word	word;
	volatile int32_t	setpoint;
	volatile int32_t	mark;
};

static _Noreturn void write_until_killed(int fd, unsigned int period_us)
{
	struct region record = { .word.ready = 1, .setpoint = 1 };

	/* Value, flag and setpoint at once. A plain store could come after the safe one. */
	while (pwrite(fd, &record, offsetof(struct region, mark), 0) > 0) {
		record.setpoint++;
		usleep(random() % (2 * period_us));
	}
	perror("pwrite");
	_exit(1);
}

int main(int argc, char **argv)
{
	unsigned int period_us = argc == 5 ? strtoul(argv[3], NULL, 0) : 0;
	int count = argc == 5 ? atoi(argv[2]) : 0;
	struct region *region;
	int fd;

	if (!period_us) {
		fprintf(stderr, "dying PATH COUNT PERIOD_US SEED\n");
		return 2;
	}
	srandom(atoi(argv[4]));
	fd = open(argv[1], O_RDWR);
	region = mmap(NULL, sizeof(*region), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (region == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	for (int killed = 0; killed < count; killed++) {
		int32_t mark;
		pid_t writer = fork();

		if (!writer)
			write_until_killed(fd, period_us);
		if (writer < 0) {
			perror("fork");
			return 1;
		}
		usleep(random() % (16 * period_us));
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
		while ((mark = region->mark) <= 0)
			usleep(period_us);
		mark = -mark;
		/* No plain store: one could come between the program in a tick and its sample. */
		if (pwrite(fd, &mark, sizeof(mark), offsetof(struct region, mark)) < 0) {
			perror("pwrite");
			return 1;
		}
	}
	printf("%d\n", region->mark);
	return 0;
}
