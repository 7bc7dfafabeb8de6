// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends requests of every kind to the family rtshm until it is killed, whether
 * the module is loaded or not, and counts them in the file it is given:
 *
 *     flood COUNTER
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <linux/rtshm_netlink.h>

#include "../lib/streams.h"

/* A node that comes and goes takes longer than all of these. */
#define ASKED	24

static char answer[1 << 16];
static int sock;

struct request {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	struct nlattr attr;
	char name[RTSHM_NAME_MAX + 1];
};

static void send_request(int family, int command, int flags, int attribute,
			 const char *name)
{
	struct request request = {
		.header = {
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
			.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
		},
		.genl = { .cmd = command, .version = 1 },
	};

	if (name) {
		request.attr.nla_type = attribute;
		request.attr.nla_len = NLA_HDRLEN + strlen(name) + 1;
		strcpy(request.name, name);
		request.header.nlmsg_len += NLA_ALIGN(request.attr.nla_len);
	}
	if (send(sock, &request, request.header.nlmsg_len, 0) < 0) {
		perror("send");
		exit(1);
	}
}

/* Take an answer to its end; if it is of CTRL_CMD_GETFAMILY, the family. */
static int take_answer(void)
{
	int family = 0;

	for (;;) {
		ssize_t left = recv(sock, answer, sizeof(answer), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)answer;

		if (left < 0) {
			perror("recv");
			exit(1);
		}
		for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			char *at = (char *)header + NLMSG_LENGTH(GENL_HDRLEN);
			char *end = (char *)header + header->nlmsg_len;

			if (header->nlmsg_type == NLMSG_ERROR ||
			    header->nlmsg_type == NLMSG_DONE)
				return family;
			if (header->nlmsg_type != GENL_ID_CTRL)
				continue;
			while (at < end) {
				struct nlattr *attr = (struct nlattr *)at;

				if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
					family = *(uint16_t *)(at + NLA_HDRLEN);
				at += NLA_ALIGN(attr->nla_len);
			}
		}
	}
}

int main(int argc, char **argv)
{
	_Atomic uint64_t *count;
	char name[RTSHM_NAME_MAX];
	int fd;

	open_streams();
	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR);
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (fd < 0 || count == MAP_FAILED || sock < 0) {
		perror(argv[1]);
		return 1;
	}
	snprintf(name, sizeof(name), "r%d", getpid());

	for (;;) {
		int family;

		/* It has another number after each load. */
		send_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0,
			     CTRL_ATTR_FAMILY_NAME, RTSHM_FAMILY_NAME);
		family = take_answer();
		if (!family)
			continue;
		send_request(family, RTSHM_CMD_REGION_NEW, 0,
			     RTSHM_A_REGION_NAME, name);
		take_answer();
		for (int i = 0; i < ASKED; i++) {
			send_request(family, RTSHM_CMD_REGION_GET, 0,
				     RTSHM_A_REGION_NAME, name);
			take_answer();
			send_request(family, RTSHM_CMD_REGION_GET, NLM_F_DUMP, 0, NULL);
			take_answer();
		}
		send_request(family, RTSHM_CMD_REGION_DEL, 0,
			     RTSHM_A_REGION_NAME, name);
		take_answer();
		*count += 2 + 2 * ASKED;
	}
}
