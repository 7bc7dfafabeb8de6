/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stress drivers share. They are one program, made of all C files of
 * this folder, so that a guest under emulation compiles and links once:
 *
 *     stress DRIVER SEED [NUMBER...]
 *
 * A driver prints what it did as lines "key number" and ends with 0. At the
 * first thing that should not be, it says so with the seed and ends with 1; its
 * children go with it.
 */
#ifndef STRESS_H
#define STRESS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/rtshm.h>
#include <linux/rtshm_netlink.h>

/* Of the running kernel; arm64 has pages of up to 64 KiB. */
#define PAGE		((uint64_t)getpagesize())
#define PAGE_MAX	65536UL
#define MS		1000000ULL
#define SECOND		1000000000ULL
#define HOUR		3600000000000ULL

/* How long one event may take to come, in ns, on a slow machine too. */
#define PATIENCE	(20 * SECOND)

/* Each whole at its first use: see fail(). */
#define STATE(name)	"/dev/rtshm/" name
#define SAMPLES(name)	"/dev/rtshm/" name ".samples"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* stress.c */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void say(const char *key, uint64_t number);
uint64_t dice(void);
uint64_t dice_below(uint64_t limit);
uint64_t now_ns(void);
void pause_ns(uint64_t ns);
void spin_ns(uint64_t ns);
void pin(int cpu);

/* A child that goes with its parent, with dice of its own. */
pid_t fork_child(void);
void kill_child(pid_t pid);
void wait_child(pid_t pid);

int open_or_fail(const char *path, int flags);
void *map_or_fail(int fd, size_t size);
void write_text(const char *path, const char *text);

/* Of the module, as insmod and rmmod do: 0 or an errno. */
int module_load(const char *parameters);
int module_unload(void);

/* genl.c: requests to the family rtshm. */
struct request {
	uint32_t length;		/* of data */
	char data[4096] __attribute__((aligned(4)));
};

/* What region-new and region-set are given; 0 and NULL: nothing. */
struct region {
	const char *name;
	uint64_t size;
	uint64_t period_ns;
	uint64_t phase_ns;
	uint32_t history;
	uint32_t record_bytes;
	uint32_t cpu_plus_1;
	int print_plus_1;
	const char *layout;
};

/* One of the attributes of a message, as it lies there. */
struct attribute {
	uint16_t type;
	uint16_t length;		/* of data */
	const char *data;
};

#define ATTRIBUTES_MAX	32

/* A message about a region. */
struct message {
	int command;
	int flags;
	int count;
	struct attribute attributes[ATTRIBUTES_MAX];
};

struct genl {
	int sock;
	int family;
	uint32_t sequence;
	char answer[1 << 13];
	/* Called for each message about a region that an answer has, or NULL. */
	void (*each)(const struct message *message, void *data);
	void *data;
	bool interrupted;		/* a dump: the list changed meanwhile */
};

int genl_try_open(struct genl *genl);
void genl_open(struct genl *genl);
void genl_close(struct genl *genl);
void request_begin(struct request *request, int family, int command, int flags);
void request_put(struct request *request, int type, const void *data, size_t length);
void request_text(struct request *request, int type, const char *text);
void request_region(struct request *request, const struct region *region);
int genl_ask(struct genl *genl, struct request *request);
int genl_send(struct genl *genl, struct request *request);
int genl_receive(struct genl *genl);

/* 0 or an errno. */
int region_new(struct genl *genl, const struct region *region);
int region_set(struct genl *genl, const struct region *region);
int region_get(struct genl *genl, const char *name);
int region_delete(struct genl *genl, const char *name);
int region_dump(struct genl *genl);

/* Anything but 0 fails. */
void must(int error, const char *what);
/* Of a reply's attributes; fails if it is not there. */
uint64_t message_number(const struct message *message, int type);
const char *message_text(const struct message *message, int type);
uint64_t region_number(struct genl *genl, const char *name, int type);
uint64_t region_counter(struct genl *genl, const char *name, int type);
/* Ticks and periods without one, as of one tick. */
uint64_t region_periods(struct genl *genl, const char *name);

/* The drivers, each in a file of this name. */
struct numbers {
	int count;
	uint64_t at[8];
};

void cycles(const struct numbers *numbers);
void held(const struct numbers *numbers);
void opened(const struct numbers *numbers);
void asked(const struct numbers *numbers);
void spliced(const struct numbers *numbers);
void failures(const struct numbers *numbers);
void fuzz(const struct numbers *numbers);
void refused(const struct numbers *numbers);
void race(const struct numbers *numbers);
void bounds(const struct numbers *numbers);
void loss(const struct numbers *numbers);
void kills(const struct numbers *numbers);
void mappers(const struct numbers *numbers);
void forks(const struct numbers *numbers);
void attack(const struct numbers *numbers);
void churn(const struct numbers *numbers);
void deleted(const struct numbers *numbers);
void polled(const struct numbers *numbers);
void zeroed(const struct numbers *numbers);
void hostile(const struct numbers *numbers);
void storm(const struct numbers *numbers);
void stays(const struct numbers *numbers);
void announced(const struct numbers *numbers);
void overtaken(const struct numbers *numbers);
void handshake(const struct numbers *numbers);

#endif /* STRESS_H */
