// SPDX-License-Identifier: GPL-2.0-only
/*
 * agent: process 1 of the guest. Runs what the host asks for and sends back what came of it.
 *
 * Host and guest exchange frames over the second serial line (patchgen/guest/control.py is the other end):
 *
 *	\x02pg KIND NONCE LENGTH CRC\n, then LENGTH bytes
 *
 * KIND is a short word, LENGTH decimal, CRC the CRC-32 of those bytes in hexadecimal. NONCE is a request's random
 * number, in 16 hexadecimal digits, which each answer to it repeats; zeros before the first. Bytes between frames
 * are skipped: a restored guest may find a few there that were cut off.
 *
 *	from the host				answered by
 *	run	TIMEOUT_MS CWD COUNT ENV... ARG...	out*, log*, exit | error
 *	shell	COLUMNS ROWS CWD COUNT ENV... ARG...	out*, exit | error	(in and size frames meanwhile)
 *	in	bytes for the shell
 *	size	COLUMNS ROWS
 *	put	MODE OFFSET PATH bytes			ack | error
 *	ping						ack
 *	off						(the guest resets)
 *
 * Words in a frame end with NUL; COUNT is the number of ENV words. "exit" holds "exited N" or "killed N" and
 * then any of: "timeout" (killed after TIMEOUT_MS), "stuck" (it did not even die then), "truncated" (more
 * output than is passed on), "lost" (kernel log records were overwritten before they were read).
 *
 * "log" holds records as /dev/kmsg gives them (Documentation/ABI/testing/dev-kmsg). printk() is synchronous, so
 * what a process caused is in the log when its exit has been seen; but a message without its final newline
 * stays in a buffer until the next one comes. So a marker is written there first, and left out here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CONTROL "/dev/ttyS1"
#define MAGIC "\002pg "
#define MARKER "patchgen-agent"
#define FRAME_MAX 65536		/* payload of a frame from the host */
#define CHUNK 4096		/* payload of a frame to the host, at most */
#define BURST 2048		/* bytes to the host without a pause: see pause_line() */
#define RECORD_MAX 8192		/* CONSOLE_EXT_LOG_MAX of the kernel: one read() of /dev/kmsg */
#define OUTPUT_MAX (1 << 20)	/* output of one command that is passed on */
#define STUCK_MS 2000		/* for a killed process to be gone */
#define WORDS_MAX 4096
#define PIPE_SIZE 65536

struct frame {
	char kind[8];
	char nonce[17];
	size_t length;
	char data[FRAME_MAX + 1];
};

struct request {
	int numbers[2];
	char *cwd;
	char *env[WORDS_MAX];
	char *argv[WORDS_MAX];
};

static int control = -1, kmsg = -1;
static struct frame frame;
static char answered[17] = "0000000000000000";	/* the nonce of the request that is answered */
static sigset_t waiting_mask;

/* --- frames ------------------------------------------------------------------------------------------- */

static uint32_t crc32(const char *data, size_t length)
{
	uint32_t crc = ~0u;
	int bit;

	while (length--) {
		crc ^= (unsigned char)*data++;
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
}

/*
 * The emulated line takes everything at once, so that the 8250 driver, fed without a pause, never leaves its
 * interrupt handler and logs "too much work for irq3" as an error (after 512 rounds of 16 bytes). So there is one.
 */
static void pause_line(size_t sent)
{
	static size_t since_pause;

	since_pause += sent;
	if (since_pause < BURST)
		return;
	tcdrain(control);
	since_pause = 0;
}

static void send_frame(const char *kind, const char *data, size_t length)
{
	char head[80];
	int n = snprintf(head, sizeof(head), MAGIC "%s %s %zu %08x\n", kind, answered, length, crc32(data, length));

	write_all(control, head, (size_t)n);
	pause_line((size_t)n);
	while (length) {
		size_t part = length < BURST ? length : BURST;

		write_all(control, data, part);
		pause_line(part);
		data += part;
		length -= part;
	}
}

static void __attribute__((format(printf, 2, 3))) send_text(const char *kind, const char *format, ...)
{
	char text[512];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	send_frame(kind, text, (size_t)n);
}

static char received[4096];
static ssize_t received_end, received_at;

/* One byte from the host, through a buffer. */
static char next_byte(void)
{
	while (received_at >= received_end) {
		received_at = 0;
		received_end = read(control, received, sizeof(received));
		if (received_end < 0 && errno != EINTR) {
			struct timespec pause = { 0, 10000000 };

			nanosleep(&pause, NULL);	/* a line that hung up; never spin */
		}
	}
	return received[received_at++];
}

/* Skips to the next frame's head and reads it; 0 when it makes no sense. */
static int read_head(uint32_t *crc)
{
	char line[64];
	size_t n = 0, matched = 0;

	while (matched < strlen(MAGIC)) {
		char byte = next_byte();

		if (byte == MAGIC[matched])
			matched++;
		else
			matched = byte == MAGIC[0];
	}
	while (n < sizeof(line) - 1) {
		line[n] = next_byte();
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return sscanf(line, "%7s %16s %zu %x", frame.kind, frame.nonce, &frame.length, crc) == 4 &&
	       frame.length <= FRAME_MAX;
}

/* Waits for a whole and undamaged frame; damaged ones are answered with an error. */
static void read_frame(void)
{
	uint32_t crc;
	size_t i;

	for (;;) {
		if (!read_head(&crc)) {
			send_text("error", "a frame's head makes no sense");
			continue;
		}
		for (i = 0; i < frame.length; i++)
			frame.data[i] = next_byte();
		frame.data[frame.length] = '\0';
		if (crc32(frame.data, frame.length) == crc)
			return;
		send_text("error", "the checksum of a frame '%s' is wrong", frame.kind);
	}
}

/* --- the kernel log ----------------------------------------------------------------------------------- */

/* Writes the marker; MARKER comes back as a record of its own, and whatever was buffered before it. */
static void flush_kernel_log(void)
{
	static const char line[] = "<15>" MARKER "\n";	/* facility user, level debug: not on the console */

	write_all(kmsg, line, sizeof(line) - 1);
}

/*
 * Reads all records up to the marker; sends them in frames if asked to. Returns whether some were overwritten. Not
 * further: what runs in the background may log faster than the line takes it, for ever.
 */
static int drain_kernel_log(int pass_on)
{
	static char batch[2 * RECORD_MAX];
	size_t used = 0;
	int lost = 0;

	flush_kernel_log();
	for (;;) {
		ssize_t n = read(kmsg, batch + used, RECORD_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE) {	/* the next read continues with the oldest record left */
			lost = 1;
			continue;
		}
		if (n <= 0)
			break;
		batch[used + (size_t)n] = '\0';
		if (strstr(batch + used, ";" MARKER "\n"))
			break;
		if (!pass_on)
			continue;
		used += (size_t)n;
		if (used > RECORD_MAX - 1) {
			send_frame("log", batch, used);
			used = 0;
		}
	}
	if (used)
		send_frame("log", batch, used);
	return lost;
}

/* --- processes ---------------------------------------------------------------------------------------- */

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void on_child(int number)
{
	(void)number;	/* only there to end a ppoll() */
}

/* Reaps whatever has ended, orphans too; returns whether `pid` was among them. */
static int reap(pid_t pid, int *status)
{
	int found = 0, one;
	pid_t ended;

	while ((ended = waitpid(-1, &one, WNOHANG)) > 0) {
		if (ended == pid) {
			*status = one;
			found = 1;
		}
	}
	return found;
}

/* Takes the next NUL-terminated word of the frame, NULL at its end. */
static char *next_word(char **at)
{
	char *word = *at;

	if (word >= frame.data + frame.length)
		return NULL;
	*at += strlen(word) + 1;
	return word;
}

/* Takes at most `limit` words (all if negative) into a NULL-terminated list; returns whether there were enough. */
static int take_words(char **at, char **list, int limit)
{
	int n;

	for (n = 0; n < WORDS_MAX - 1 && n != limit; n++) {
		list[n] = next_word(at);
		if (!list[n])
			return limit < 0 && n > 0;
	}
	list[n] = NULL;
	return limit >= 0 && n == limit;
}

/* Reads NUMBERS... CWD COUNT ENV... ARG...; returns 0 if the frame is anything else. */
static int parse_request(struct request *request, int numbers)
{
	char *at = frame.data, *word;
	int i;

	for (i = 0; i < numbers; i++) {
		word = next_word(&at);
		if (!word)
			return 0;
		request->numbers[i] = atoi(word);
	}
	request->cwd = next_word(&at);
	word = next_word(&at);
	return word && take_words(&at, request->env, atoi(word)) && take_words(&at, request->argv, -1);
}

/* In the child: becomes the requested program. Its own PATH finds it. */
static void __attribute__((noreturn)) become(struct request *request)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (chdir(request->cwd)) {
		dprintf(2, "%s: %s\n", request->cwd, strerror(errno));
		_exit(127);
	}
	environ = request->env;
	execvp(request->argv[0], request->argv);
	dprintf(2, "%s: %s\n", request->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void send_exit(int status, const char *notes)
{
	if (WIFSIGNALED(status))
		send_text("exit", "killed %d%s", WTERMSIG(status), notes);
	else
		send_text("exit", "exited %d%s", WEXITSTATUS(status), notes);
}

/* Passes on some of what is in the pipe: 1; nothing there now: -1; its end: 0. */
static int pass_output(int fd, size_t *total)
{
	char chunk[CHUNK];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return -1;
	if (n == 0)
		return 0;
	if (*total < OUTPUT_MAX)
		send_frame("out", chunk, (size_t)n);
	*total += (size_t)n;
	return 1;
}

/* Follows the process until it has ended or cannot be made to; returns 1 in the latter case. */
static int follow(pid_t pid, int out, int timeout_ms, int *status, int *timed_out, size_t *total)
{
	long long deadline = now_ms() + timeout_ms;
	struct pollfd poll_out = { .fd = out, .events = POLLIN };
	int chunks;

	while (!reap(pid, status)) {
		long long left = deadline - now_ms();
		struct timespec wait = { left / 1000, left % 1000 * 1000000 };

		if (left <= 0) {
			if (*timed_out)
				return 1;
			*timed_out = 1;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);	/* if it has not come to setsid() yet */
			deadline = now_ms() + STUCK_MS;
			continue;
		}
		/* SIGCHLD is let through only here, so an exit between reap() and here is not missed. */
		if (ppoll(&poll_out, 1, &wait, &waiting_mask) > 0 && pass_output(out, total) == 0)
			poll_out.fd = -1;
	}
	/* What the process left in the pipe; not more, for a child of its may write there for ever. */
	for (chunks = 0; chunks < PIPE_SIZE / CHUNK; chunks++)
		if (pass_output(out, total) <= 0)
			break;
	return 0;
}

/* For the host's evidence: the kernel prints every blocked task and its stack. */
static void show_blocked_tasks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	write_all(fd, "w", 1);
	close(fd);
}

static void run(void)
{
	static struct request request;
	int out[2], status = 0, timed_out = 0, stuck, lost;
	size_t total = 0;
	char notes[64];
	pid_t pid;

	if (!parse_request(&request, 1)) {
		send_text("error", "a run request is malformed");
		return;
	}
	if (pipe2(out, O_CLOEXEC)) {
		send_text("error", "pipe: %s", strerror(errno));
		return;
	}
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	drain_kernel_log(0);
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		become(&request);
	}
	close(out[1]);
	if (pid < 0) {
		close(out[0]);
		send_text("error", "fork: %s", strerror(errno));
		return;
	}
	stuck = follow(pid, out[0], request.numbers[0], &status, &timed_out, &total);
	close(out[0]);
	if (stuck)
		show_blocked_tasks();
	lost = drain_kernel_log(1);
	snprintf(notes, sizeof(notes), "%s%s%s%s", timed_out ? " timeout" : "", stuck ? " stuck" : "",
		 total > OUTPUT_MAX ? " truncated" : "", lost ? " lost" : "");
	send_exit(stuck ? SIGKILL : status, notes);
}

/* --- the interactive shell ---------------------------------------------------------------------------- */

static void set_size(int terminal, int columns, int rows)
{
	struct winsize size = { .ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows };

	ioctl(terminal, TIOCSWINSZ, &size);
}

/* A new pseudo terminal's master; its slave is opened by the child, as its controlling terminal. */
static int open_terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int unlock = 0;

	if (master >= 0)
		ioctl(master, TIOCSPTLCK, &unlock);
	return master;
}

static void take_terminal(int master)
{
	char path[32];
	int number = 0, slave;

	ioctl(master, TIOCGPTN, &number);
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	setsid();
	slave = open(path, O_RDWR);
	if (slave < 0)
		_exit(127);
	ioctl(slave, TIOCSCTTY, 0);
	dup2(slave, 0);
	dup2(slave, 1);
	dup2(slave, 2);
	if (slave > 2)
		close(slave);
}

/* Does what frames from the host say while a shell runs. */
static void shell_input(int master)
{
	int columns, rows;

	do {
		read_frame();
		if (!strcmp(frame.kind, "in"))
			write_all(master, frame.data, frame.length);
		else if (!strcmp(frame.kind, "size") && sscanf(frame.data, "%d %d", &columns, &rows) == 2)
			set_size(master, columns, rows);
		else if (!strcmp(frame.kind, "off"))
			reboot(RB_AUTOBOOT);
	} while (received_at < received_end);	/* ppoll() does not know of these */
}

static void follow_shell(pid_t pid, int master, int *status)
{
	struct pollfd polls[2] = { { .fd = control, .events = POLLIN }, { .fd = master, .events = POLLIN } };
	char chunk[CHUNK];
	ssize_t n;

	while (!reap(pid, status)) {
		if (ppoll(polls, 2, NULL, &waiting_mask) < 0)
			continue;
		if (polls[0].revents)
			shell_input(master);
		if (polls[1].revents) {
			n = read(master, chunk, sizeof(chunk));
			if (n > 0)
				send_frame("out", chunk, (size_t)n);
			else if (n < 0 && errno == EIO)
				polls[1].fd = -1;	/* nobody has the terminal open any more */
		}
	}
	fcntl(master, F_SETFL, O_NONBLOCK);
	while ((n = read(master, chunk, sizeof(chunk))) > 0)
		send_frame("out", chunk, (size_t)n);
}

static void shell(void)
{
	static struct request request;
	int master, status = 0;
	pid_t pid;

	if (!parse_request(&request, 2)) {
		send_text("error", "a shell request is malformed");
		return;
	}
	master = open_terminal();
	if (master < 0) {
		send_text("error", "no pseudo terminal: %s (the kernel needs CONFIG_UNIX98_PTYS)", strerror(errno));
		return;
	}
	set_size(master, request.numbers[0], request.numbers[1]);
	pid = fork();
	if (pid == 0) {
		take_terminal(master);
		become(&request);
	}
	if (pid < 0) {
		send_text("error", "fork: %s", strerror(errno));
	} else {
		follow_shell(pid, master, &status);
		send_exit(status, "");
	}
	close(master);
}

/* --- files -------------------------------------------------------------------------------------------- */

static void put(void)
{
	unsigned int mode, offset;
	char *path, *data;
	size_t length;
	int fd, n = 0;

	if (sscanf(frame.data, "%o %u %n", &mode, &offset, &n) != 2 || !n) {
		send_text("error", "a put request is malformed");
		return;
	}
	path = frame.data + n;
	data = path + strlen(path) + 1;
	if (data > frame.data + frame.length) {
		send_text("error", "a put request is malformed");
		return;
	}
	length = (size_t)(frame.data + frame.length - data);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (offset ? 0 : O_TRUNC), 0600);
	if (fd < 0 || fchmod(fd, mode) || pwrite(fd, data, length, (off_t)offset) != (ssize_t)length)
		send_text("error", "%s: %s", path, strerror(errno));
	else
		send_text("ack", "%zu", length);
	if (fd >= 0)
		close(fd);
}

/* --- start -------------------------------------------------------------------------------------------- */

/*
 * File systems are mounted if the kernel has them; what is missing shows when it is needed. Nothing goes over
 * /tmp: the root is in memory as well, and files that were put into the image there must be seen.
 */
static void mount_all(void)
{
	static const struct {
		const char *type, *path;
	} mounts[] = {
		{ "proc", "/proc" },	     { "sysfs", "/sys" },	       { "devtmpfs", "/dev" },
		{ "devpts", "/dev/pts" }, { "debugfs", "/sys/kernel/debug" },
	};
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].path, 0755);
		mount(mounts[i].type, mounts[i].path, mounts[i].type, 0,
		      strcmp(mounts[i].type, "devpts") ? NULL : "ptmxmode=0666");
	}
	chmod("/tmp", 01777);
}

static int open_control(void)
{
	struct termios line;
	int fd = open(CONTROL, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &line))
		return -1;
	cfmakeraw(&line);
	line.c_cflag |= CLOCAL | CREAD;
	/* The receiver's timeout, after which a started FIFO is handed over, is four characters long. */
	cfsetspeed(&line, B115200);
	if (tcsetattr(fd, TCSANOW, &line))
		return -1;
	return fd;
}

static void set_signals(void)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t blocked;

	sigaction(SIGCHLD, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
}

static void __attribute__((noreturn)) serve(void)
{
	for (;;) {
		read_frame();
		memcpy(answered, frame.nonce, sizeof(answered));
		if (!strcmp(frame.kind, "run"))
			run();
		else if (!strcmp(frame.kind, "shell"))
			shell();
		else if (!strcmp(frame.kind, "put"))
			put();
		else if (!strcmp(frame.kind, "ping"))
			send_text("ack", "ping");
		else if (!strcmp(frame.kind, "off"))
			reboot(RB_AUTOBOOT);	/* QEMU runs with -no-reboot */
		else if (strcmp(frame.kind, "in") && strcmp(frame.kind, "size"))
			send_text("error", "unknown request '%s'", frame.kind);
	}
}

int main(void)
{
	struct utsname name;

	if (getpid() != 1) {
		fprintf(stderr, "agent: must be process 1\n");
		return 2;
	}
	mount_all();
	set_signals();
	kmsg = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	control = open_control();
	if (kmsg < 0 || control < 0) {
		fprintf(stderr, "agent: cannot open %s: %s\n", kmsg < 0 ? "/dev/kmsg" : CONTROL, strerror(errno));
		return 1;	/* the kernel panics, which the host sees */
	}
	uname(&name);
	send_text("ready", "%s", name.release);
	serve();
}
