// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records after the word of a region whose fields, 64-bit integers, all carry
 * one number, in both halves; who writes them, and who looks for one that is
 * not whole:
 *
 *     tear write|store PATH FIELDS NUMBER COUNT
 *     tear check PATH FIELDS
 *
 * write has a write(2) for each record, store one plain store for each field.
 * The numbers go up from NUMBER by 2. All print a line when they begin, and go
 * on until SIGTERM, write and store to COUNT records if that is later. check
 * then prints how many records it read, how many of them were not as the one
 * before, and how many were not whole.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/rtshm.h>

#include "streams.h"

#define FIELDS_MAX	500
#define BEGIN		sizeof(struct rtshm_word)
#define BOTH_HALVES	0x100000001ULL

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

static int check(int fd, size_t fields)
{
	unsigned long reads = 0, changed = 0, torn = 0;
	uint64_t record[FIELDS_MAX], before = 0;
	ssize_t size = fields * sizeof(*record);

	for (; !stopped; reads++) {
		if (pread(fd, record, size, BEGIN) != size) {
			perror("pread");
			return 1;
		}
		for (size_t i = 0; i < fields; i++) {
			if (record[i] != (uint32_t)record[0] * BOTH_HALVES) {
				torn++;
				break;
			}
		}
		changed += record[0] != before;
		before = record[0];
	}
	printf("%lu %lu %lu\n", reads, changed, torn);
	return 0;
}

static int write_records(int fd, size_t fields, uint32_t number, unsigned long count)
{
	uint64_t record[FIELDS_MAX];
	ssize_t size = fields * sizeof(*record);

	for (; count || !stopped; count -= !!count, number += 2) {
		for (size_t i = 0; i < fields; i++)
			record[i] = number * BOTH_HALVES;
		if (pwrite(fd, record, size, BEGIN) != size) {
			perror("pwrite");
			return 1;
		}
	}
	return 0;
}

static int store_records(int fd, size_t fields, uint32_t number, unsigned long count)
{
	char *memory = mmap(NULL, BEGIN + fields * sizeof(uint64_t),
			    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile uint64_t *record = (volatile uint64_t *)(memory + BEGIN);

	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (; count || !stopped; count -= !!count, number += 2) {
		for (size_t i = 0; i < fields; i++)
			record[i] = number * BOTH_HALVES;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t fields;
	int fd;

	open_streams();
	if (argc < 4)
		return 2;
	fields = strtoul(argv[3], NULL, 10);
	fd = open(argv[2], O_RDWR);
	if (fd < 0 || !fields || fields > FIELDS_MAX) {
		perror(argv[2]);
		return 1;
	}
	signal(SIGTERM, stop);
	puts("begun");
	fflush(stdout);
	if (!strcmp(argv[1], "check"))
		return check(fd, fields);
	if (argc != 6)
		return 2;
	return (strcmp(argv[1], "write") ? store_records : write_records)
		(fd, fields, strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
}
