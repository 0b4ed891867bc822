/*
 * Makes system calls that an untrusted program has no business with, and prints what came of each: "NAME ERRNO".
 * Compiled for 64 and for 32 bits: numbers, and ways around a filter, differ.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void told(const char *name, long result)
{
	printf("%s %d\n", name, result < 0 ? errno : 0);
	fflush(stdout);
}

#define TRY(name, ...) (errno = 0, told(#name, syscall(SYS_##name, ##__VA_ARGS__)))

static void keys(void)
{
	char text[64] = "";
	long key;

	TRY(add_key, "user", "left-behind", "x", 1, KEY_SPEC_USER_KEYRING);
	TRY(request_key, "user", "the-graders", NULL, 0);
	errno = 0;
	key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "the-graders", 0);
	told("keyctl", key);
	if (key > 0 && syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text) - 1) > 0)
		printf("secret %s\n", text);
}

/* A family that the kernel does not have, too: what is refused is refused by number. i386's C library asks socketcall. */
static void sockets(void)
{
	static const int families[] = { 3, 16, 17, 38, 40, 45 };
	char name[32];
	unsigned int i;
	int pair[2];

	for (i = 0; i < sizeof(families) / sizeof(*families); i++) {
		snprintf(name, sizeof(name), "socket-%d", families[i]);
		errno = 0;
		told(name, syscall(SYS_socket, families[i], SOCK_RAW, 0));
	}
	told("socket-unix", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
	told("socket-inet", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
	told("socketpair-unix", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair));
#ifdef SYS_socketcall
	TRY(socketcall, 1, (long[]){ AF_NETLINK, SOCK_RAW, 0 });
#endif
}

static void namespaces(void)
{
	TRY(unshare, CLONE_NEWUSER);
	TRY(unshare, CLONE_FILES);
	TRY(clone3, NULL, 0);
	errno = 0;
	told("clone-newuser", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
	errno = 0;
	told("clone-newnet", syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
	TRY(setns, 0, 0);
	TRY(mount, "none", "/tmp", "tmpfs", 0, NULL);
	TRY(chroot, "/tmp");
}

static void memory(void)
{
	TRY(memfd_create, "x", 0);
#ifdef SYS_shmget
	TRY(shmget, IPC_PRIVATE, 4096, 0600);
	TRY(msgget, IPC_PRIVATE, 0600);
#endif
#ifdef SYS_ipc
	TRY(ipc, 23, IPC_PRIVATE, 4096, 0600, 0, 0);
#endif
}

int main(void)
{
	keys();
	sockets();
	namespaces();
	memory();
	TRY(userfaultfd, 1);
	TRY(bpf, 0, NULL, 0);
	TRY(perf_event_open, NULL, 0, -1, -1, 0);
	TRY(io_uring_setup, 1, NULL);
	TRY(io_uring_enter, 0, 0, 0, 0, NULL, 0);
	TRY(io_uring_register, 0, 0, NULL, 0);
	TRY(ptrace, PTRACE_TRACEME, 0, 0, 0);
	TRY(process_vm_readv, getpid(), NULL, 0, NULL, 0, 0);
	TRY(kcmp, getpid(), getpid(), 0, 0, 0);
	TRY(syslog, 10, NULL, 0);
#if defined(__x86_64__) && !defined(__ILP32__)
	errno = 0;
	told("x32", syscall(0x40000000 | SYS_getpid));
#endif
	return 0;
}
