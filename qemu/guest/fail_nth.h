/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Let an allocation of this thread fail: CONFIG_FAULT_INJECTION's fail-nth, see the kernel's
 * Documentation/fault-injection/fault-injection.txt. Include nolibc.h before it.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#define FAIL_NTH "/proc/thread-self/fail-nth"

static long fail_nth_fd = -1;

/* The nth allocation from now on fails; none does if it is 0. */
static UNUSED void fail_nth(long nth)
{
	char digits[12];
	int at = sizeof(digits);

	if (!nth && fail_nth_fd < 0)
		return;
	if (fail_nth_fd < 0)
		fail_nth_fd = sys3(NR_open, FAIL_NTH, O_RDWR, 0);
	if (is_error(fail_nth_fd))
		die(FAIL_NTH, fail_nth_fd);
	do {
		digits[--at] = (char)('0' + nth % 10);
		nth /= 10;
	} while (nth);
	sys3(NR_write, fail_nth_fd, digits + at, sizeof(digits) - (unsigned long)at);
}

/* Say so if that allocation never came, and let no other one fail; also after an exec, which leaves this as it is. */
static UNUSED void fail_nth_done(long nth)
{
	char left[12] = { '0' };

	if (!nth)
		return;
	if (fail_nth_fd < 0)
		fail_nth_fd = sys3(NR_open, FAIL_NTH, O_RDWR, 0);
	sys3(NR_read, fail_nth_fd, left, sizeof(left));
	fail_nth(0);
	sys1(NR_close, fail_nth_fd);
	fail_nth_fd = -1;
	if (left[0] != '0')
		put(1, "note no allocation failed\n");
}

#endif
