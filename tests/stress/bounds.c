// SPDX-License-Identifier: GPL-2.0-only
/*
 * bounds NUMBER: mmap(2) of a region of five pages, NUMBER times, by offset,
 * length, protection, flags and mode of the file; what it says against what a
 * model of the kernel's and the module's checks says, in their order.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>

#include "stress.h"

#define PAGES	5
#define SIZE	(PAGES * PAGE)

/* Not accounted: whether there is so much memory is not asked first. */
#define PRIVATE		(MAP_PRIVATE | MAP_NORESERVE)

/* No flag of mmap(2) so far. */
#define UNKNOWN_FLAG	0x800000

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif

struct request_of_map {
	int mode;			/* of the file */
	uint64_t offset, length;
	int prot, flags;
};

static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };

static const int prots[] = {
	PROT_NONE, PROT_READ, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_EXEC,
	PROT_READ | PROT_WRITE | PROT_EXEC,
};

static const int flag_sets[] = {
	MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_SHARED | MAP_POPULATE,
	MAP_SHARED | MAP_NORESERVE, MAP_SHARED_VALIDATE,
	MAP_SHARED_VALIDATE | UNKNOWN_FLAG, PRIVATE, PRIVATE | MAP_POPULATE, 0,
	MAP_SHARED | MAP_GROWSDOWN,
};

static uint64_t near(const uint64_t *some, size_t count)
{
	const int64_t steps[] = { 0, 0, 0, 0, 0, PAGE, -PAGE, 1, -1, 7 };

	return some[dice_below(count)] + steps[dice_below(ARRAY_SIZE(steps))];
}

/*
 * The errno, or 0. mm/mmap.c, then rtshm_state_mmap(). A request whose length
 * may or may not fit into the address space is not made.
 */
static int model(const struct request_of_map *request)
{
	int type = request->flags & MAP_TYPE;
	bool readable = request->mode != O_WRONLY;
	bool writable = request->mode != O_RDONLY;
	uint64_t length = (request->length + PAGE - 1) & -PAGE;
	uint64_t first = request->offset / PAGE, pages = length / PAGE;

	/* The system call, do_mmap(). */
	if (request->offset % PAGE || !request->length)
		return EINVAL;
	if (!length)
		return ENOMEM;
	if (length > 1ULL << 46)
		return ENOMEM;
	/* The page number has 52 bits, or fewer. */
	if (first > (UINT64_MAX - length) / PAGE)
		return EOVERFLOW;
	if (type == MAP_SHARED_VALIDATE && request->flags & UNKNOWN_FLAG)
		return EOPNOTSUPP;
	if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) {
		if (request->prot & PROT_WRITE && !writable)
			return EACCES;
	} else if (type != MAP_PRIVATE) {
		return EINVAL;
	}
	if (!readable)
		return EACCES;
	if (request->flags & MAP_GROWSDOWN)
		return EINVAL;
	/* The module. */
	if (type == MAP_PRIVATE)
		return EINVAL;
	if (first >= PAGES || pages > PAGES - first)
		return EINVAL;
	if (request->prot & PROT_EXEC)
		return EACCES;
	return 0;
}

/* The mapping has the requested pages, and not one more. */
static void look(const struct request_of_map *request, void *memory)
{
	uint64_t pages = (request->length + PAGE - 1) / PAGE;

	for (uint64_t i = 0; i < pages && request->prot & PROT_READ; i++) {
		uint64_t number = *(volatile uint64_t *)(memory + i * PAGE);

		if (number != request->offset / PAGE + i + 1)
			fail("page %lu of the region is page %lu of it",
			     (unsigned long)(request->offset / PAGE + i),
			     (unsigned long)number - 1);
	}
	if (munmap(memory, pages * PAGE))
		fail("munmap: %m");
}

void bounds(const struct numbers *numbers)
{
	/*
	 * In bytes; a page more or less is tried as well. Not 2^47: programs have so many
	 * addresses on x86, 2^47 or 2^48 on arm64.
	 */
	const uint64_t edges[] = {
		0, PAGE, 2 * PAGE, 4 * PAGE, SIZE, 16 * PAGE, 1ULL << 31, 1ULL << 32,
		1ULL << 40, 1ULL << 44, 1ULL << 48, 1ULL << 51, 1ULL << 62, 1ULL << 63,
		-SIZE, -PAGE,
	};
	uint64_t cases, mapped = 0;
	uint64_t of_errno[256] = {};
	int fds[3];
	struct genl genl;

	genl_open(&genl);
	must(region_new(&genl, &(struct region) {
		.name = "bounds", .size = SIZE, .period_ns = HOUR }), "new");
	for (int mode = 0; mode < 3; mode++)
		fds[mode] = open_or_fail(STATE("bounds"), mode);
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t number = page + 1;

		if (pwrite(fds[O_RDWR], &number, sizeof(number), page * PAGE) < 0)
			fail("pwrite: %m");
	}

	for (cases = 0; cases < numbers->at[0]; cases++) {
		/* Half of them inside or nearly so, half of them anywhere. */
		size_t some = cases % 2 ? 6 : ARRAY_SIZE(edges);
		struct request_of_map request = {
			.mode = modes[dice_below(ARRAY_SIZE(modes))],
			.offset = near(edges, some),
			.length = near(edges, some),
			.prot = prots[dice_below(ARRAY_SIZE(prots))],
			.flags = flag_sets[dice_below(ARRAY_SIZE(flag_sets))],
		};
		int expected = model(&request), got = 0;
		long memory = syscall(SYS_mmap, NULL, request.length, request.prot,
				      request.flags, fds[request.mode], request.offset);

		if (memory == -1)
			got = errno;
		if (got != expected)
			fail("mmap(length %#lx, prot %d, flags %#x, mode %d, offset %#lx): %s, not %s",
			     (unsigned long)request.length, request.prot,
			     request.flags, request.mode,
			     (unsigned long)request.offset, strerrorname_np(got) ?: "0",
			     strerrorname_np(expected) ?: "0");
		of_errno[got]++;
		if (got)
			continue;
		look(&request, (void *)memory);
		mapped++;
	}
	for (int mode = 0; mode < 3; mode++)
		close(fds[mode]);
	must(region_delete(&genl, "bounds"), "delete");
	say("cases", cases);
	say("mapped", mapped);
	for (size_t i = 1; i < ARRAY_SIZE(of_errno); i++)
		if (of_errno[i])
			say(strerrorname_np(i), of_errno[i]);
}
