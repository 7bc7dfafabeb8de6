// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to the family that follow its grammar more or less: right ones, ones
 * with values at and beyond every limit, with attributes that are missing, given
 * twice, too short, too long, nested, unknown, and any of these with bits turned.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "stress.h"

#define BATCH	16

static const uint64_t values[] = {
	0, 1, 2, 3, 7, 8, 12, 16, 255, 256, 4095, 4096, 4097, 4104, 8192, 65535,
	65536, 65537, 99999, 100000, 500000000, 1ULL << 30, (1ULL << 30) + 4096,
	1ULL << 31, 3600000000000, 3600000000001, UINT32_MAX, 1ULL << 32, 1ULL << 51,
	INT64_MAX, 1ULL << 63, UINT64_MAX - 4095, UINT64_MAX,
};

static const char *const names[] = {
	"a", "b", "c", "d", "e", "f", "g", "h", "default",
};

static const char *const bad_names[] = {
	"", "A", "..", "../a", "a/b", "a!b", "%n%s", "-a", "_a", "a b", "\xff",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a.samples",
};

/* What the operations of the family may say; see netlink/rtshm.yaml. */
static const int known[] = {
	0, EINVAL, ERANGE, EEXIST, ENOENT, ENOSPC, ENODEV, ENXIO, EBUSY, EOPNOTSUPP, ENOMEM,
};

static int width_of(int type)
{
	switch (type) {
	case RTSHM_A_REGION_SIZE:
	case RTSHM_A_REGION_PERIOD_NS:
	case RTSHM_A_REGION_PHASE_NS:
	case RTSHM_A_REGION_START_NS:
	case RTSHM_A_REGION_TASK_BUDGET_NS:
	case RTSHM_A_REGION_PHYS:
	case RTSHM_A_REGION_LEAD_NS:
		return 8;
	case RTSHM_A_REGION_PRINT:
	case RTSHM_A_REGION_CLOCK:
		return 1;
	case RTSHM_A_REGION_KEEP:
	case RTSHM_A_REGION_ACCESS_DEFAULT:
		return 0;
	default:
		return 4;
	}
}

static void put_name(struct request *request)
{
	/* Mostly right: what follows is not looked at otherwise. */
	const char *name = dice_below(16) ? names[dice_below(ARRAY_SIZE(names))] :
					    bad_names[dice_below(ARRAY_SIZE(bad_names))];

	request_put(request, RTSHM_A_REGION_NAME, name,
		    strlen(name) + (dice_below(32) ? 1 : 0));
}

static void put_any(struct request *request)
{
	static const char bytes[1200];
	int type = dice_below(RTSHM_A_REGION_MAX + 3);
	uint64_t value = values[dice_below(ARRAY_SIZE(values))];

	switch (dice_below(16)) {
	case 0:		/* any length */
		request_put(request, type, bytes, dice_below(64));
		break;
	case 1:		/* a long one */
		request_put(request, type, bytes, dice_below(sizeof(bytes)));
		break;
	case 2:		/* said to be a nest, with something in it */
		request_put(request, type | NLA_F_NESTED, &value, sizeof(value));
		break;
	default:
		if (type == RTSHM_A_REGION_NAME)
			put_name(request);
		else if (type == RTSHM_A_REGION_LAYOUT)
			request_text(request, type, "speed:f64 gain:f32");
		else
			request_put(request, type, &value, width_of(type));
	}
}

static void make(struct request *request, int family)
{
	/* New more often than del: most of new is refused, and what is not there, too. */
	static const int commands[] = {
		RTSHM_CMD_REGION_GET, RTSHM_CMD_REGION_GET, RTSHM_CMD_REGION_SET,
		RTSHM_CMD_REGION_SET, RTSHM_CMD_REGION_NEW, RTSHM_CMD_REGION_NEW,
		RTSHM_CMD_REGION_NEW, RTSHM_CMD_REGION_DEL,
	};
	int command = dice_below(32) ? commands[dice_below(ARRAY_SIZE(commands))] :
				       (int)dice_below(256);
	int flags = dice_below(64) ? NLM_F_ACK : NLM_F_ACK | NLM_F_DUMP;
	/* Right but for the name, so that what fills the limits goes away again. */
	bool plain = !dice_below(4);
	int attributes = plain ? 0 : dice_below(5);
	size_t head = NLMSG_LENGTH(GENL_HDRLEN);

	request_begin(request, family, command, flags);
	if (dice_below(16))
		put_name(request);
	for (int i = 0; i < attributes; i++)
		put_any(request);

	if (plain || !dice_below(2))
		return;
	/* Turn bits of the attributes, rarely of what says which operation. */
	for (int bits = 1 + dice_below(4); bits; bits--) {
		size_t from = dice_below(8) ? head : NLMSG_HDRLEN;
		size_t at = from + dice_below(request->length - from + 1);

		if (at < request->length)
			request->data[at] ^= 1 << dice_below(8);
	}
}

struct tally {
	uint64_t answers, accepted, refused;
	uint64_t of[ARRAY_SIZE(known)];
};

static void count(struct tally *tally, int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i] == error) {
			tally->of[i]++;
			tally->answers++;
			tally->accepted += !error;
			tally->refused += !!error;
			return;
		}
	}
	fail("a request is answered with %d, %s", error, strerror(error));
}

/* Everything up to the answer to @last, the request that nothing is wrong with. */
static void drain(struct genl *genl, uint32_t last, struct tally *tally)
{
	for (;;) {
		ssize_t left = recv(genl->sock, genl->answer, sizeof(genl->answer), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)genl->answer;

		if (left < 0)
			fail("recv: %m");
		for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			int error;

			if (header->nlmsg_type != NLMSG_ERROR)
				continue;
			error = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
			if (header->nlmsg_seq == last) {
				must(error, "a right request after wrong ones");
				return;
			}
			count(tally, error);
		}
	}
}

/* Send @batch and a request that must go well, and take all answers. */
static void exchange(struct genl *genl, struct request *batch, int size,
		     struct tally *tally)
{
	struct iovec parts[BATCH + 1];
	struct request right;

	for (int i = 0; i < size; i++) {
		((struct nlmsghdr *)batch[i].data)->nlmsg_seq = ++genl->sequence;
		parts[i] = (struct iovec) { batch[i].data, NLMSG_ALIGN(batch[i].length) };
	}
	request_begin(&right, genl->family, RTSHM_CMD_REGION_GET, NLM_F_ACK);
	request_text(&right, RTSHM_A_REGION_NAME, "right");
	((struct nlmsghdr *)right.data)->nlmsg_seq = ++genl->sequence;
	parts[size] = (struct iovec) { right.data, right.length };
	if (writev(genl->sock, parts, size + 1) < 0)
		fail("writev: %m");
	drain(genl, genl->sequence, tally);
}

/*
 * fuzz NUMBER: so many requests, 16 and a right one a datagram. The region
 * "right" is there at the end: no request has its name.
 */
void fuzz(const struct numbers *numbers)
{
	static struct request batch[BATCH];
	struct tally tally = {};
	uint64_t requests = 0;
	struct genl genl;

	/* The name under which the parser of the kernel may log a wrong width. */
	prctl(PR_SET_NAME, "malformed");
	genl_open(&genl);
	must(region_new(&genl, &(struct region) { .name = "right" }), "new");
	while (requests < numbers->at[0]) {
		for (int i = 0; i < BATCH; i++)
			make(&batch[i], genl.family);
		exchange(&genl, batch, BATCH, &tally);
		requests += BATCH + 1;
	}
	say("requests", requests);
	say("answers", tally.answers);
	say("accepted", tally.accepted);
	say("refused", tally.refused);
	for (size_t i = 1; i < ARRAY_SIZE(known); i++)
		if (tally.of[i])
			say(strerrorname_np(known[i]), tally.of[i]);
}

/* refused NUMBER: so many requests that the family refuses, each for a reason. */
void refused(const struct numbers *numbers)
{
	static const struct region wrong[] = {
		{ .name = "right" },
		{ .name = "A" },
		{ .name = "x", .size = 1 },
		{ .name = "x", .size = 1ULL << 31 },
		{ .name = "x", .period_ns = 1 },
		{ .name = "x", .print_plus_1 = 8 },
		{ .name = "x", .history = 1 << 30 },
		{ .name = "x", .record_bytes = 12 },
		{ .name = "x", .cpu_plus_1 = 4000 },
	};
	struct request batch[BATCH];
	struct tally tally = {};
	uint64_t requests = 0;
	struct genl genl;

	genl_open(&genl);
	must(region_new(&genl, &(struct region) { .name = "right" }), "new");
	while (requests < numbers->at[0]) {
		for (int i = 0; i < BATCH; i++) {
			request_begin(&batch[i], genl.family, RTSHM_CMD_REGION_NEW,
				      NLM_F_ACK);
			request_region(&batch[i], &wrong[dice_below(ARRAY_SIZE(wrong))]);
		}
		exchange(&genl, batch, BATCH, &tally);
		requests += BATCH;
	}
	if (tally.accepted)
		fail("%lu wrong requests were accepted", (unsigned long)tally.accepted);
	must(region_delete(&genl, "right"), "delete");
	say("refused", tally.refused);
}
