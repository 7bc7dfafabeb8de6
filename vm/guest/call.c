/*
 * call PYTHON -m MODULE ARGUMENT...: has the interpreter of the snapshot run the module, in
 * a fork of its own (interpreter.py); where it declines, runs the command itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile pid_t worker;

static void hand_on(int number)
{
	kill(worker, number);
}

static char *put(char *at, const char *end, char **texts)
{
	for (; at && *texts; texts++)
		at = end - at > (long)strlen(*texts) ? stpcpy(at, *texts) + 1 : NULL;
	return at;
}

/*
 * Whether each standard stream is open, and no terminal. A closed one has no descriptor to
 * send, and its number would go to the next file that is opened here. A terminal belongs to a
 * session, and the interpreter is in another.
 */
static bool streams_can_be_sent(void)
{
	for (int number = 0; number <= 2; number++)
		if (fcntl(number, F_GETFD) < 0 || isatty(number))
			return false;
	return true;
}

/* The connection on which the caller's arguments, variables and descriptors were sent. */
static int ask(int count, char **arguments)
{
	static char text[1 << 17];
	struct sockaddr_un address = { AF_UNIX, "/run/warm/socket" };
	char control[CMSG_SPACE(4 * sizeof(int))] = {};
	struct iovec data = { .iov_base = text };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int descriptors[4] = { open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), 0, 1, 2 };
	int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char *end = text + sprintf(text, "%d", count) + 1;

	end = put(end, text + sizeof(text), arguments);
	end = put(end, text + sizeof(text), environ);
	if (!end || connect(connection, (void *)&address, sizeof(address)))
		return -1;
	data.iov_len = end - text;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(descriptors));
	memcpy(CMSG_DATA(header), descriptors, sizeof(descriptors));
	return sendmsg(connection, &message, 0) < 0 ? -1 : connection;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = hand_on, .sa_flags = SA_RESTART };
	sigset_t all, none;
	int connection = -1, status;

	/* Until there is a process to hand them on to. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &none);
	if (argc > 3 && sigisemptyset(&none) && streams_can_be_sent())
		connection = ask(argc - 3, argv + 3);
	if (connection < 0 || read(connection, (pid_t *)&worker, sizeof(worker)) <= 0) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		return 127;
	}
	for (int number = 1; number < NSIG; number++)
		if (number != SIGCHLD)
			sigaction(number, &action, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(connection, &status, sizeof(status)) <= 0) {
		fprintf(stderr, "the interpreter of the snapshot is gone\n");
		return 125;
	}
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}
