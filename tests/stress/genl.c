// SPDX-License-Identifier: GPL-2.0-only
/* Generic netlink on a plain socket, without a library that would check first. */
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "stress.h"

#ifndef SO_RCVBUFFORCE
#define SO_RCVBUFFORCE	33
#endif

static struct nlmsghdr *header_of(struct request *request)
{
	return (struct nlmsghdr *)request->data;
}

void request_begin(struct request *request, int family, int command, int flags)
{
	struct genlmsghdr *genl;

	memset(request->data, 0, NLMSG_LENGTH(GENL_HDRLEN));
	header_of(request)->nlmsg_type = family;
	header_of(request)->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = NLMSG_DATA(header_of(request));
	genl->cmd = command;
	genl->version = RTSHM_FAMILY_VERSION;
	request->length = NLMSG_LENGTH(GENL_HDRLEN);
	header_of(request)->nlmsg_len = request->length;
}

void request_put(struct request *request, int type, const void *data, size_t length)
{
	struct nlattr *attr = (struct nlattr *)(request->data + request->length);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + length;
	memset(attr + 1, 0, NLA_ALIGN(length));
	memcpy(attr + 1, data, length);
	request->length += NLA_HDRLEN + NLA_ALIGN(length);
	header_of(request)->nlmsg_len = request->length;
}

void request_text(struct request *request, int type, const char *text)
{
	request_put(request, type, text, strlen(text) + 1);
}

void request_region(struct request *request, const struct region *region)
{
	if (region->name)
		request_text(request, RTSHM_A_REGION_NAME, region->name);
	if (region->size)
		request_put(request, RTSHM_A_REGION_SIZE, &region->size,
			    sizeof(region->size));
	if (region->period_ns)
		request_put(request, RTSHM_A_REGION_PERIOD_NS, &region->period_ns,
			    sizeof(region->period_ns));
	if (region->phase_ns)
		request_put(request, RTSHM_A_REGION_PHASE_NS, &region->phase_ns,
			    sizeof(region->phase_ns));
	if (region->history) {
		/* All ones: 0, which is nothing given. */
		uint32_t history = region->history == UINT32_MAX ? 0 : region->history;

		request_put(request, RTSHM_A_REGION_HISTORY, &history, sizeof(history));
	}
	if (region->record_bytes)
		request_put(request, RTSHM_A_REGION_RECORD_BYTES, &region->record_bytes,
			    sizeof(region->record_bytes));
	if (region->cpu_plus_1) {
		uint32_t cpu = region->cpu_plus_1 - 1;

		request_put(request, RTSHM_A_REGION_CPU, &cpu, sizeof(cpu));
	}
	if (region->print_plus_1) {
		uint8_t print = region->print_plus_1 - 1;

		request_put(request, RTSHM_A_REGION_PRINT, &print, sizeof(print));
	}
	if (region->layout)
		request_text(request, RTSHM_A_REGION_LAYOUT, region->layout);
}

/* What is sent is numbered, so that what is received has its request. */
int genl_send(struct genl *genl, struct request *request)
{
	header_of(request)->nlmsg_seq = ++genl->sequence;
	return send(genl->sock, request->data, request->length, 0) < 0 ? errno : 0;
}

static void message_parse(struct message *message, const struct nlmsghdr *header)
{
	const char *at = (const char *)header + NLMSG_LENGTH(GENL_HDRLEN);
	const char *end = (const char *)header + header->nlmsg_len;

	message->command = ((const struct genlmsghdr *)NLMSG_DATA(header))->cmd;
	message->flags = header->nlmsg_flags;
	for (message->count = 0; at < end; message->count++) {
		const struct nlattr *attr = (const struct nlattr *)at;

		if (message->count == ATTRIBUTES_MAX || attr->nla_len < NLA_HDRLEN)
			fail("a message of the kernel's with attributes beyond its end");
		message->attributes[message->count] = (struct attribute) {
			.type = attr->nla_type & NLA_TYPE_MASK,
			.length = attr->nla_len - NLA_HDRLEN,
			.data = at + NLA_HDRLEN,
		};
		at += NLA_ALIGN(attr->nla_len);
	}
}

/* To the end of the answer to the last request: 0 or an errno, of recv(2) too. */
int genl_receive(struct genl *genl)
{
	genl->interrupted = false;
	for (;;) {
		ssize_t left = recv(genl->sock, genl->answer, sizeof(genl->answer), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)genl->answer;

		if (left < 0) {
			if (errno == EAGAIN)
				fail("no answer within the deadline");
			return errno;
		}
		for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			struct message message;

			/* Of an earlier one whose answer was lost on its way. */
			if (header->nlmsg_seq != genl->sequence)
				continue;
			genl->interrupted |= !!(header->nlmsg_flags & NLM_F_DUMP_INTR);
			if (header->nlmsg_type == NLMSG_ERROR)
				return -((struct nlmsgerr *)NLMSG_DATA(header))->error;
			if (header->nlmsg_type == NLMSG_DONE)
				return -*(int *)NLMSG_DATA(header);
			message_parse(&message, header);
			if (genl->each)
				genl->each(&message, genl->data);
		}
	}
}

int genl_ask(struct genl *genl, struct request *request)
{
	int error = genl_send(genl, request);

	return error ?: genl_receive(genl);
}

static void take_family(const struct message *message, void *data)
{
	for (int i = 0; i < message->count; i++)
		if (message->attributes[i].type == CTRL_ATTR_FAMILY_ID)
			*(int *)data = *(const uint16_t *)message->attributes[i].data;
}

/* 0, or ENOENT while there is no such family. */
int genl_try_open(struct genl *genl)
{
	struct timeval patience = { .tv_sec = PATIENCE / SECOND };
	struct request request;
	int size = 8 << 20;
	int error;

	*genl = (struct genl) { .family = GENL_ID_CTRL, .each = take_family };
	genl->data = &genl->family;
	genl->sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (genl->sock < 0)
		fail("netlink socket: %m");
	setsockopt(genl->sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(genl->sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	request_begin(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	request_text(&request, CTRL_ATTR_FAMILY_NAME, RTSHM_FAMILY_NAME);
	error = genl_ask(genl, &request);
	genl->each = NULL;
	if (error)
		close(genl->sock);
	return error;
}

void genl_open(struct genl *genl)
{
	must(genl_try_open(genl), "finding the family");
}

void genl_close(struct genl *genl)
{
	close(genl->sock);
}

static int ask_about(struct genl *genl, int command, const struct region *region)
{
	struct request request;

	request_begin(&request, genl->family, command, NLM_F_ACK);
	request_region(&request, region);
	return genl_ask(genl, &request);
}

int region_new(struct genl *genl, const struct region *region)
{
	return ask_about(genl, RTSHM_CMD_REGION_NEW, region);
}

int region_set(struct genl *genl, const struct region *region)
{
	return ask_about(genl, RTSHM_CMD_REGION_SET, region);
}

int region_get(struct genl *genl, const char *name)
{
	return ask_about(genl, RTSHM_CMD_REGION_GET, &(struct region) { .name = name });
}

int region_delete(struct genl *genl, const char *name)
{
	return ask_about(genl, RTSHM_CMD_REGION_DEL, &(struct region) { .name = name });
}

int region_dump(struct genl *genl)
{
	struct request request;

	request_begin(&request, genl->family, RTSHM_CMD_REGION_GET, NLM_F_DUMP);
	return genl_ask(genl, &request);
}

void must(int error, const char *what)
{
	if (error)
		fail("%s: %s", what, strerror(error));
}

static const struct attribute *message_find(const struct message *message, int type)
{
	for (int i = 0; i < message->count; i++)
		if (message->attributes[i].type == type)
			return &message->attributes[i];
	fail("a message about a region without attribute %d", type);
}

static uint64_t number_of(const struct attribute *attribute)
{
	uint64_t number = 0;

	memcpy(&number, attribute->data,
	       attribute->length < sizeof(number) ? attribute->length : sizeof(number));
	return number;
}

uint64_t message_number(const struct message *message, int type)
{
	return number_of(message_find(message, type));
}

const char *message_text(const struct message *message, int type)
{
	return message_find(message, type)->data;
}

struct wanted {
	int type;
	/* Of the nest of counters, these two of them; else 0. */
	int counter, other;
	uint64_t number;
};

static void take_number(const struct message *message, void *data)
{
	struct wanted *wanted = data;
	const struct attribute *found = message_find(message, wanted->type);
	const char *at = found->data;

	if (!wanted->counter) {
		wanted->number = number_of(found);
		return;
	}
	while (at < found->data + found->length) {
		const struct nlattr *attr = (const struct nlattr *)at;
		int type = attr->nla_type & NLA_TYPE_MASK;
		uint64_t number;

		memcpy(&number, at + NLA_HDRLEN, sizeof(number));
		if (type == wanted->counter || type == wanted->other)
			wanted->number += number;
		at += NLA_ALIGN(attr->nla_len);
	}
}

static uint64_t ask_number(struct genl *genl, const char *name, struct wanted wanted)
{
	genl->each = take_number;
	genl->data = &wanted;
	must(region_get(genl, name), name);
	genl->each = NULL;
	return wanted.number;
}

uint64_t region_number(struct genl *genl, const char *name, int type)
{
	return ask_number(genl, name, (struct wanted) { .type = type });
}

uint64_t region_counter(struct genl *genl, const char *name, int type)
{
	return ask_number(genl, name, (struct wanted) {
		.type = RTSHM_A_REGION_COUNTERS, .counter = type });
}

uint64_t region_periods(struct genl *genl, const char *name)
{
	return ask_number(genl, name, (struct wanted) {
		.type = RTSHM_A_REGION_COUNTERS, .counter = RTSHM_A_COUNTERS_TICKS,
		.other = RTSHM_A_COUNTERS_MISSED });
}
