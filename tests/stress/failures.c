// SPDX-License-Identifier: GPL-2.0-only
/*
 * failures KIND LOADED: every way into the module with the first allocation
 * (KIND 0: of slabs, 1: of pages) or the first copy from or to user memory
 * (KIND 2) failing, then the second, and so on until none is left to fail. What is
 * refused is refused with an errno of its cause, and everything is as before; what
 * went well is as it should be.
 *
 * Needs a kernel with fault injection: /proc/thread-self/fail-nth counts down at
 * each point that could fail; 0 afterwards says that one did.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/netlink.h>

#include "stress.h"

/* More than any operation has; without this one that never succeeds goes on. */
#define POINTS_MAX	4000

static int fail_nth;
static struct genl genl;

/* What is left of an earlier count may be for the copies of this one. */
static void arm(unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth), done;

	do {
		done = pwrite(fail_nth, text, length, 0);
	} while (done < 0 && errno == EFAULT);
	if (done != length)
		fail("fail-nth: %m");
}

/* How many points are left; 0: a fault was injected. */
static unsigned int left(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) >= 0)
		return atoi(text);
	if (errno != EFAULT)
		fail("fail-nth: %m");
	/* The last one is for this. */
	return 1;
}

static bool disarm(void)
{
	bool injected = !left();

	arm(0);
	return injected;
}

static void setting(const char *kind, const char *name, const char *value)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, name);
	write_text(path, value);
}

/* Everything of the module that somebody can see, but for what ticks count. */
struct view {
	char text[8192];
	size_t length;
};

static void view_add(struct view *view, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	view->length += vsnprintf(view->text + view->length,
				  sizeof(view->text) - view->length, format, args);
	va_end(args);
	if (view->length >= sizeof(view->text))
		fail("more to see than there is room for");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void view_directory(struct view *view, const char *path)
{
	char names[64][256];
	struct dirent *entry;
	DIR *directory = opendir(path);
	int count = 0;

	view_add(view, "%s:", path);
	while (directory && (entry = readdir(directory)) && count < 64)
		snprintf(names[count++], sizeof(names[0]), "%s", entry->d_name);
	if (directory)
		closedir(directory);
	qsort(names, count, sizeof(names[0]), by_name);
	for (int i = 0; i < count; i++)
		view_add(view, " %s", names[i]);
	view_add(view, "\n");
}

static void view_region(const struct message *message, void *data)
{
	static const int types[] = {
		RTSHM_A_REGION_SIZE, RTSHM_A_REGION_PERIOD_NS, RTSHM_A_REGION_PRINT,
		RTSHM_A_REGION_HISTORY, RTSHM_A_REGION_RECORD_BYTES,
		RTSHM_A_REGION_USERS,
	};

	view_add(data, "%s %s", message_text(message, RTSHM_A_REGION_NAME),
		 message_text(message, RTSHM_A_REGION_LAYOUT));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		view_add(data, " %lu", (unsigned long)message_number(message, types[i]));
	view_add(data, "\n");
}

/* Whether udev has heard of a new node of the region since it was asked last. */
static bool heard(void)
{
	static int uevents = -1;
	char text[4096];
	bool added = false;
	ssize_t length;

	if (uevents < 0) {
		struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };

		uevents = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
		if (uevents < 0 || bind(uevents, (void *)&address, sizeof(address)))
			fail("uevents: %m");
	}
	while ((length = recv(uevents, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[length] = 0;
		added |= !strncmp(text, "add@", 4) && strstr(text, "/fault");
	}
	return added;
}

static void look(struct view *view)
{
	struct stat status;

	view->length = 0;
	genl.each = view_region;
	genl.data = view;
	must(region_dump(&genl), "dump");
	genl.each = NULL;
	view_directory(view, "/dev/rtshm");
	view_directory(view, "/sys/class/rtshm");
	/* Where a node goes whose name had no memory. */
	view_add(view, "%d\n", stat("/dev/fault", &status));
}

static void same(const struct view *a, const struct view *b, const char *name,
		 unsigned int nth)
{
	if (strcmp(a->text, b->text))
		fail("%s refused at point %u; before:\n%safter:\n%s", name, nth,
		     a->text, b->text);
}

/* --- the operations: prepare() brings about what act() needs, undo() ends it --- */

static const struct region plain = { .name = "fault", .period_ns = HOUR };
static const struct region recorded = {
	.name = "fault", .period_ns = HOUR, .history = 8,
};
static struct region full = {
	.name = "fault", .period_ns = HOUR, .history = 300, .record_bytes = 64,
	.layout = "speed:f64", .cpu_plus_1 = 1,
};

static int fd = -1, other = -1;
static void *memory;
static char buffer[96 * PAGE_MAX];

static void have_plain(void)
{
	must(region_new(&genl, &plain), "preparing");
}

static void have_full(void)
{
	must(region_new(&genl, &full), "preparing");
}

static void have_state(void)
{
	have_full();
	fd = open_or_fail(STATE("fault"), O_RDWR);
}

static void have_map(void)
{
	have_state();
	memory = map_or_fail(fd, 4 * PAGE);
}

static void have_reader(void)
{
	struct pollfd poller = { .events = POLLIN };

	have_full();
	fd = open_or_fail(SAMPLES("fault"), O_RDONLY | O_NONBLOCK);
	/* Its first tick is due at once, on a cpu that may be busy; the next in an hour. */
	lseek(fd, 0, SEEK_SET);
	poller.fd = fd;
	if (poll(&poller, 1, 60000) != 1)
		fail("no tick in a minute");
}

static void have_epoll(void)
{
	have_state();
	other = epoll_create1(0);
}

static void have_epoll_reader(void)
{
	have_reader();
	other = epoll_create1(0);
}

static void undo(void)
{
	if (memory) {
		munmap(memory, 4 * PAGE);
		memory = NULL;
	}
	if (fd >= 0)
		close(fd);
	if (other >= 0)
		close(other);
	fd = other = -1;
	region_delete(&genl, "fault");
}

static void nothing(void)
{
}

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int new_plain(void) { return region_new(&genl, &plain); }
static int new_recorded(void) { return region_new(&genl, &recorded); }
static int new_full(void) { return region_new(&genl, &full); }
static int get(void) { return region_get(&genl, "fault"); }
static int dump(void) { return region_dump(&genl); }
static int delete(void) { return region_delete(&genl, "fault"); }

static int set(const struct region *region)
{
	return region_set(&genl, region);
}

static int set_period(void)
{
	return set(&(struct region) { .name = "fault", .period_ns = SECOND });
}

static int set_history(void)
{
	return set(&(struct region) { .name = "fault", .period_ns = SECOND, .history = 16 });
}

static int set_record_bytes(void)
{
	return set(&(struct region) { .name = "fault", .record_bytes = 128 });
}

static int set_history_0(void)
{
	return set(&(struct region) { .name = "fault", .history = UINT32_MAX });
}

static int open_state(void) { return result(fd = open(STATE("fault"), O_RDWR)); }
static int open_samples(void) { return result(fd = open(SAMPLES("fault"), O_RDONLY)); }

static int map(void)
{
	void *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, 0);

	if (at == MAP_FAILED)
		return errno;
	memory = at;
	return 0;
}

static int split(void)
{
	return result(mprotect(memory + PAGE, PAGE, PROT_READ));
}

static int unmap_middle(void) { return result(munmap(memory + PAGE, PAGE)); }

static int move(void)
{
	void *to = mremap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			  (char *)memory + (1UL << 32));

	if (to == MAP_FAILED)
		return errno;
	memory = to;
	return 0;
}

static int poll_state(void)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN | POLLOUT };

	return result(poll(&poller, 1, 0));
}

static int epoll_add(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };

	return result(epoll_ctl(other, EPOLL_CTL_ADD, fd, &event));
}

static int read_some(void) { return result(read(fd, buffer, full.size)); }
static int write_some(void) { return result(pwrite(fd, buffer, full.size, 0)); }

static int watermark(void)
{
	struct rtshm_watermark watermark = { .samples = 2 };

	return result(ioctl(fd, RTSHM_IOC_WATERMARK, &watermark));
}

/* The file is opened before: the module has no part in that. */
static void have_file(void)
{
	fd = open_or_fail("rtshm.ko", O_RDONLY);
}

static int load(void)
{
	return result(syscall(SYS_finit_module, fd,
			      "print=0 period_ns=3600000000000", 0));
}

/*
 * How many points there are before the kernel has come to the module's
 * parameters. What it did until then is its own, and not all of that expects to
 * fail: tracing warns.
 */
static unsigned int points_before_parameters(void)
{
	const unsigned int many = 1000000;
	unsigned int points;

	have_file();
	arm(many);
	if (!syscall(SYS_finit_module, fd, "period_ns=x", 0) || errno != EINVAL)
		fail("loading with a wrong parameter: %m");
	points = many - left();
	arm(0);
	close(fd);
	fd = -1;
	return points;
}

static void have_module(void)
{
	must(module_load("print=0 period_ns=3600000000000"), "preparing");
}

static int unload(void) { return module_unload(); }

/* If it is loaded, it is so wholly, and can be unloaded. */
static void undo_module(void)
{
	struct genl now;

	if (fd >= 0)
		close(fd);
	fd = -1;
	if (access("/sys/module/rtshm/initstate", F_OK))
		return;
	genl_open(&now);
	genl_close(&now);
	must(module_unload(), "unloading");
}

/* Which of the errnos an operation may end with. */
#define MEMORY		(1 << 0)	/* ENOMEM */
#define SOCKET		(1 << 1)	/* ENOBUFS: the request or its answer */

static const struct operation {
	const char *name;
	void (*prepare)(void);
	int (*act)(void);
	void (*undo)(void);
	int errnos;
	bool maybe_done;	/* though its answer is lost */
	bool without_module;	/* it is loaded by this or not there */
	bool changes_nothing;
} operations[] = {
	{ "new", nothing, new_plain, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "new with history", nothing, new_recorded, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "new with all", nothing, new_full, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "get", have_full, get, undo, MEMORY | SOCKET, .maybe_done = true, .changes_nothing = true },
	{ "dump", have_full, dump, undo, MEMORY | SOCKET, .maybe_done = true, .changes_nothing = true },
	{ "set period", have_full, set_period, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "set history from 0", have_plain, set_history, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "set history", have_full, set_history, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "set record bytes", have_full, set_record_bytes, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "set history to 0", have_full, set_history_0, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "delete", have_plain, delete, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "delete with history", have_full, delete, undo, MEMORY | SOCKET, .maybe_done = true },
	{ "open", have_full, open_state, undo, MEMORY },
	{ "open samples", have_full, open_samples, undo, MEMORY },
	{ "mmap", have_state, map, undo, MEMORY, .changes_nothing = true },
	{ "mprotect of the middle", have_map, split, undo, MEMORY, .changes_nothing = true },
	{ "munmap of the middle", have_map, unmap_middle, undo, MEMORY, .changes_nothing = true },
	{ "mremap", have_map, move, undo, MEMORY, .changes_nothing = true },
	{ "poll", have_state, poll_state, undo, MEMORY, .changes_nothing = true },
	{ "poll samples", have_reader, poll_state, undo, MEMORY, .changes_nothing = true },
	{ "epoll", have_epoll, epoll_add, undo, MEMORY, .changes_nothing = true },
	{ "epoll samples", have_epoll_reader, epoll_add, undo, MEMORY, .changes_nothing = true },
	{ "read", have_state, read_some, undo, MEMORY, .changes_nothing = true },
	{ "write", have_state, write_some, undo, MEMORY, .changes_nothing = true },
	{ "read samples", have_reader, read_some, undo, MEMORY, .changes_nothing = true },
	{ "watermark", have_reader, watermark, undo, MEMORY, .changes_nothing = true },
	{ "load", have_file, load, undo_module, MEMORY, .without_module = true },
	{ "unload", have_module, unload, undo_module, 0, .without_module = true },
};

static bool allowed(const struct operation *operation, int error)
{
	/* A copy may fail everywhere: there is no telling fail-nth to pass it by. */
	return error == EFAULT ||
	       (error == ENOMEM && operation->errnos & MEMORY) ||
	       (error == ENOBUFS && operation->errnos & SOCKET);
}

static void look_at_traces(const char *name, unsigned int nth)
{
	static const char *const traces[] = {
		"/dev/rtshm", "/sys/class/rtshm", "/sys/module/rtshm", "/dev/default",
	};

	for (size_t i = 0; i < ARRAY_SIZE(traces); i++)
		if (!access(traces[i], F_OK))
			fail("%s at point %u leaves %s", name, nth, traces[i]);
}

/* Fault after fault until there is none left; how many. */
static unsigned int inject(const struct operation *operation)
{
	static struct view before, after;
	struct view *done = calloc(1, sizeof(*done));
	unsigned int first = operation->act == load ? points_before_parameters() : 0;
	unsigned int nth;

	if (!done)
		fail("calloc: %m");

	for (nth = first + 1; nth < first + POINTS_MAX; nth++) {
		bool injected;
		int error;

		operation->prepare();
		if (!operation->without_module)
			look(&before);
		heard();
		arm(nth);
		error = operation->act();
		injected = disarm();

		if (!injected) {
			must(error, operation->name);
			operation->undo();
			free(done);
			return nth - 1 - first;
		}
		if (error && !allowed(operation, error))
			fail("%s at point %u: %s", operation->name, nth, strerror(error));
		if (operation->without_module) {
			/* Not loaded, or unloaded. */
			if (!error == (operation->act == unload))
				look_at_traces(operation->name, nth);
			operation->undo();
			continue;
		}
		look(&after);
		/*
		 * What netlink refuses in words is not done; where no answer came,
		 * it is done or not, and nothing between. The view of what is done
		 * is that of an earlier success, if there was one.
		 */
		if (error == ENOBUFS || (error == EFAULT && operation->maybe_done) ||
		    (!error && !operation->changes_nothing)) {
			if (!error && !done->length)
				*done = after;
			if (done->length && strcmp(after.text, done->text))
				same(&before, &after, operation->name, nth);
		} else if (error || operation->changes_nothing) {
			same(&before, &after, operation->name, nth);
			if (heard())
				fail("%s refused at point %u, and udev heard of it",
				     operation->name, nth);
		}
		operation->undo();
	}
	fail("%s still meets failures after %u", operation->name, nth);
}

static void prepare_injection(unsigned int kind)
{
	static const char *const names[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		/* The log is for what is wrong. */
		setting(names[i], "verbose", "0");
	}
	setting("failslab", "ignore-gfp-wait", "N");
	setting("failslab", "cache-filter", kind == 0 ? "N" : "Y");
	setting("fail_page_alloc", "ignore-gfp-wait", kind == 1 ? "N" : "Y");
	setting("fail_page_alloc", "min-order", kind == 1 ? "0" : "20");
}

void failures(const struct numbers *numbers)
{
	unsigned int kind = numbers->at[0];
	unsigned int points = 0, operations_hit = 0;
	bool with_module = numbers->at[1];

	full.size = 96 * PAGE;
	fail_nth = open_or_fail("/proc/thread-self/fail-nth", O_RDWR);
	prepare_injection(kind);
	if (with_module)
		genl_open(&genl);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		unsigned int hit;

		if (operations[i].without_module == with_module)
			continue;
		hit = inject(&operations[i]);
		fprintf(stderr, "%s: %u points\n", operations[i].name, hit);
		points += hit;
		operations_hit += hit > 0;
	}
	say("points", points);
	say("operations", operations_hit);
}
