// SPDX-License-Identifier: GPL-2.0-only
/*
 * race NUMBER: two processes, each on a cpu of its own, make, change and remove
 * the same regions, whose timers go off all the while, NUMBER times in all.
 */
#include "stress.h"

static const char *const names[] = { "r0", "r1", "r2", "r3" };

/* What the other process may have done meanwhile. */
static int allow(int error, int other, const char *what)
{
	if (error && error != other)
		fail("%s: %s", what, strerror(error));
	return !error;
}

struct done {
	uint64_t made, removed, set, defaults, failed;
};

static void act(struct genl *genl, struct done *done)
{
	static const uint64_t periods[] = { 250000, 500000, 1000000 };
	const char *name = names[dice_below(ARRAY_SIZE(names))];
	struct region region = {
		.name = name,
		/* Four of them in 250 us, on a sanitizer, leave a cpu half of its time. */
		.period_ns = 250000 + dice_below(4) * 250000,
		.print_plus_1 = 1,
	};
	int dice_of_100 = dice_below(100);
	int fine;

	if (dice_of_100 < 2) {
		region.history = dice_below(2) * 8;
		region.cpu_plus_1 = dice_below(3);
		fine = allow(region_new(genl, &region), EEXIST, "new");
		done->made += fine;
	} else if (dice_of_100 < 4) {
		fine = allow(region_delete(genl, name), ENOENT, "delete");
		done->removed += fine;
	} else if (dice_of_100 < 10) {
		struct region always = {
			.name = "default",
			.period_ns = periods[dice_below(ARRAY_SIZE(periods))],
			/* off, or changes */
			.print_plus_1 = 1 + 2 * dice_below(2),
		};

		must(region_set(genl, &always), "set default");
		done->defaults++;
		fine = 1;
	} else if (dice_of_100 < 12) {
		/* To another ring, or to none, under the tick that fills it. */
		region.history = dice_below(2) ? 1 + dice_below(64) : UINT32_MAX;
		fine = allow(region_set(genl, &region), ENOENT, "set history");
		done->set += fine;
	} else {
		fine = allow(region_set(genl, &region), ENOENT, "set period");
		done->set += fine;
	}
	done->failed += !fine;
}

static void run(int cpu, uint64_t operations, int result)
{
	struct done done = {};
	struct genl genl;

	pin(cpu);
	genl_open(&genl);
	while (operations--)
		act(&genl, &done);
	genl_close(&genl);
	if (write(result, &done, sizeof(done)) != sizeof(done))
		fail("pipe: %m");
	exit(0);
}

void race(const struct numbers *numbers)
{
	uint64_t half = numbers->at[0] / 2;
	struct done sum = {};
	int results[2];
	pid_t pids[2];
	struct genl genl;

	if (pipe(results))
		fail("pipe: %m");
	for (int cpu = 0; cpu < 2; cpu++) {
		pids[cpu] = fork_child();
		if (!pids[cpu])
			run(cpu, half, results[1]);
	}
	for (int cpu = 0; cpu < 2; cpu++)
		wait_child(pids[cpu]);
	for (int cpu = 0; cpu < 2; cpu++) {
		struct done done;

		if (read(results[0], &done, sizeof(done)) != sizeof(done))
			fail("pipe: %m");
		sum.made += done.made;
		sum.removed += done.removed;
		sum.set += done.set;
		sum.defaults += done.defaults;
		sum.failed += done.failed;
	}
	genl_open(&genl);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		sum.removed += !region_delete(&genl, names[i]);
	if (sum.made != sum.removed)
		fail("%lu regions made, %lu removed", (unsigned long)sum.made,
		     (unsigned long)sum.removed);
	say("operations", 2 * half);
	say("made", sum.made);
	say("set", sum.set);
	say("defaults", sum.defaults);
	say("late", sum.failed);
}
