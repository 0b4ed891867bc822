/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scenarios in C. Each checks what the kernel under test does, and prints KTAP (Documentation/dev-tools/ktap.rst of the
 * kernel); patchgen/testing/ktap.py reads both the source and the output. Include nolibc.h before it. It brings main().
 *
 *	SCENARIO(name, "3.1-1 3.2-1", "What must be so, in a sentence")
 *	{
 *		NEED(set_up() == 0, "3.1-1", "the set-up");
 *		EXPECT_EQ(call(1), 2, "3.2-1", "call of %d", 1);
 *	}
 *
 * The words before the summary are ids of the requirements that the scenario stands for; those of a check are the ones
 * that it shows to be violated. SCENARIO_CPUS(2, ...) needs a guest of so many CPUs.
 *
 *	EXPECT(condition, ids, format, ...)		a check: the scenario goes on
 *	EXPECT_EQ(got, wanted, ids, format, ...)	of two numbers
 *	EXPECT_RET(got, wanted, ids, format, ...)	of what a system call returned and should have
 *	EXPECT_BYTES(got, wanted, length, ids, format, ...)	of two pieces of memory
 *	NEED(...), NEED_EQ(...), NEED_RET(...), NEED_BYTES(...)	the same, and on failure the rest is blocked
 *	NOTE(format, ...)		a diagnostic line, before the check that it is about
 *	SKIP(format, ...)		the machine lacks what the scenario needs
 *
 * Formats know %d, %u, %x, %s and %%. `prog NAME` runs one scenario, `prog` all, each in a process of its own: one that
 * a signal ends has failed, and says by which. Exit status: 0 if all passed, 1 if not, 2 if there is none of that name.
 */
#ifndef KTAP_H
#define KTAP_H

#define KTAP_LINE 512
#define KTAP_FAILED 1
#define KTAP_SKIPPED 4

struct ktap_scenario {
	const char *name;
	const char *requirements;
	const char *summary;
	void (*run)(void);
};

#define SCENARIO(name, requirements, summary) SCENARIO_CPUS(1, name, requirements, summary)

/* The linker puts the pointers of all files side by side, and names the two ends of them. */
#define SCENARIO_CPUS(cpus, name, requirements, summary)                                                               \
	static void scenario_##name(void);                                                                             \
	static const struct ktap_scenario ktap_##name = { #name, requirements, summary, scenario_##name };             \
	static const struct ktap_scenario *const ktap_at_##name                                                        \
		__attribute__((section("ktap_scenarios"), used, no_reorder)) = &ktap_##name;                           \
	static void scenario_##name(void)

extern const struct ktap_scenario *const __start_ktap_scenarios[], *const __stop_ktap_scenarios[];

/* Of the scenario that runs. */
static const struct ktap_scenario *ktap_now;
static unsigned long ktap_checks, ktap_failures;

/* One line, or a part of one. What does not fit is left out. */
struct ktap_text {
	unsigned long length;
	char text[KTAP_LINE];
};

static void ktap_add(struct ktap_text *to, const char *text)
{
	while (*text && to->length < sizeof(to->text) - 1)
		to->text[to->length++] = *text++;
	to->text[to->length] = '\0';
}

static void ktap_add_number(struct ktap_text *to, unsigned long value, unsigned int base)
{
	char digits[12];
	int at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	ktap_add(to, digits + at);
}

static void ktap_add_signed(struct ktap_text *to, long value)
{
	if (value < 0)
		ktap_add(to, "-");
	ktap_add_number(to, value < 0 ? -(unsigned long)value : (unsigned long)value, 10);
}

static void ktap_add_format(struct ktap_text *to, const char *format, __builtin_va_list values)
{
	char single[2] = "";

	for (; *format; format++) {
		if (*format != '%') {
			single[0] = *format;
			ktap_add(to, single);
			continue;
		}
		switch (*++format) {
		case 'd':
			ktap_add_signed(to, __builtin_va_arg(values, int));
			break;
		case 'u':
			ktap_add_number(to, __builtin_va_arg(values, unsigned int), 10);
			break;
		case 'x':
			ktap_add_number(to, __builtin_va_arg(values, unsigned int), 16);
			break;
		case 's':
			ktap_add(to, __builtin_va_arg(values, const char *));
			break;
		default:
			ktap_add(to, "%");
		}
	}
}

/* One write for each line, so that no other process's output gets into it. */
static void ktap_print(struct ktap_text *line)
{
	if (line->length == sizeof(line->text) - 1)
		line->length--;
	line->text[line->length++] = '\n';
	sys3(NR_write, 1, line->text, line->length);
}

static UNUSED __attribute__((format(printf, 1, 2))) void NOTE(const char *format, ...)
{
	struct ktap_text line = { .length = 0 };
	__builtin_va_list values;

	ktap_add(&line, "    # ");
	__builtin_va_start(values, format);
	ktap_add_format(&line, format, values);
	__builtin_va_end(values);
	ktap_print(&line);
}

static void ktap_result(int passed, const char *requirements, const char *what, const char *directive)
{
	struct ktap_text line = { .length = 0 };

	ktap_add(&line, passed ? "    ok " : "    not ok ");
	ktap_add_number(&line, ++ktap_checks, 10);
	ktap_add(&line, " - ");
	ktap_add(&line, requirements);
	ktap_add(&line, ": ");
	ktap_add(&line, what);
	ktap_add(&line, directive);
	ktap_print(&line);
	ktap_failures += !passed;
}

static void __attribute__((noreturn)) ktap_leave(void)
{
	leave(ktap_failures || !ktap_checks ? KTAP_FAILED : 0);
}

static UNUSED __attribute__((noreturn, format(printf, 1, 2))) void SKIP(const char *format, ...)
{
	struct ktap_text why = { .length = 0 };
	__builtin_va_list values;

	ktap_add(&why, " # SKIP ");
	__builtin_va_start(values, format);
	ktap_add_format(&why, format, values);
	__builtin_va_end(values);
	ktap_result(1, ktap_now->requirements, ktap_now->summary, why.text);
	leave(ktap_failures ? KTAP_FAILED : KTAP_SKIPPED);
}

static UNUSED __attribute__((format(printf, 4, 5))) void ktap_check(int passed, int needed, const char *requirements,
								    const char *format, ...)
{
	struct ktap_text what = { .length = 0 };
	__builtin_va_list values;

	__builtin_va_start(values, format);
	ktap_add_format(&what, format, values);
	__builtin_va_end(values);
	ktap_result(passed, requirements, what.text, "");
	if (passed || !needed)
		return;
	ktap_result(1, ktap_now->requirements, ktap_now->summary, " # SKIP blocked");
	ktap_leave();
}

static UNUSED int ktap_equal(long got, long wanted)
{
	if (got != wanted)
		NOTE("got %d, expected %d", (int)got, (int)wanted);
	return got == wanted;
}

/* The names of errnos that a kernel answers with where it should not. */
static const char *ktap_errno(long ret)
{
	switch (-ret) {
	case 1:
		return " (EPERM)";
	case 2:
		return " (ENOENT)";
	case 7:
		return " (E2BIG)";
	case 12:
		return " (ENOMEM)";
	case 14:
		return " (EFAULT)";
	case 17:
		return " (EEXIST)";
	case 22:
		return " (EINVAL)";
	case 28:
		return " (ENOSPC)";
	case 38:
		return " (ENOSYS)";
	case 90:
		return " (EMSGSIZE)";
	default:
		return "";
	}
}

static UNUSED int ktap_returned(long got, long wanted)
{
	if (got != wanted)
		NOTE("got %d%s, expected %d%s", (int)got, ktap_errno(got), (int)wanted, ktap_errno(wanted));
	return got == wanted;
}

static UNUSED int ktap_same_bytes(const void *got, const void *wanted, unsigned long length)
{
	const unsigned char *a = got, *b = wanted;
	unsigned long i;

	for (i = 0; i < length && a[i] == b[i]; i++)
		;
	if (i < length)
		NOTE("byte %u of %u: got 0x%x, expected 0x%x", (unsigned int)i, (unsigned int)length, a[i], b[i]);
	return i == length;
}

#define EXPECT(condition, ...) ktap_check(!!(condition), 0, __VA_ARGS__)
#define EXPECT_EQ(got, wanted, ...) ktap_check(ktap_equal((long)(got), (long)(wanted)), 0, __VA_ARGS__)
#define EXPECT_RET(got, wanted, ...) ktap_check(ktap_returned(got, wanted), 0, __VA_ARGS__)
#define EXPECT_BYTES(got, wanted, length, ...) ktap_check(ktap_same_bytes(got, wanted, length), 0, __VA_ARGS__)
#define NEED(condition, ...) ktap_check(!!(condition), 1, __VA_ARGS__)
#define NEED_EQ(got, wanted, ...) ktap_check(ktap_equal((long)(got), (long)(wanted)), 1, __VA_ARGS__)
#define NEED_RET(got, wanted, ...) ktap_check(ktap_returned(got, wanted), 1, __VA_ARGS__)
#define NEED_BYTES(got, wanted, length, ...) ktap_check(ktap_same_bytes(got, wanted, length), 1, __VA_ARGS__)

/* Runs a scenario in a child and prints its result as the test of this number; returns 0 if it has not failed. */
static int ktap_run(const struct ktap_scenario *scenario, unsigned long number)
{
	struct ktap_text line = { .length = 0 };
	int status = -1;
	long child;

	put(1, "    KTAP version 1\n    # Subtest: ");
	put(1, scenario->name);
	put(1, "\n");
	ktap_now = scenario;
	child = sys0(NR_fork);
	if (!child) {
		scenario->run();
		ktap_leave();
	}
	if (is_error(child) || is_error(sys3(NR_waitpid, child, &status, 0)))
		NOTE("there is no process for it");
	else if (status & 0x7f)
		NOTE("ended by signal %d", status & 0x7f);
	ktap_add(&line, !status || status == KTAP_SKIPPED << 8 ? "ok " : "not ok ");
	ktap_add_number(&line, number, 10);
	ktap_add(&line, " - ");
	ktap_add(&line, scenario->name);
	ktap_add(&line, status == KTAP_SKIPPED << 8 ? " # SKIP" : "");
	ktap_print(&line);
	return status && status != KTAP_SKIPPED << 8;
}

int main(int argc, char **argv)
{
	unsigned long count = (unsigned long)(__stop_ktap_scenarios - __start_ktap_scenarios);
	unsigned long i, chosen = count, number = 0;
	int failed = 0;

	for (i = 0; argc > 1 && i < count; i++)
		if (same(__start_ktap_scenarios[i]->name, argv[1]))
			chosen = i;
	if (argc > 2 || (argc == 2 && chosen == count)) {
		put(2, "usage: PROGRAM [NAME]\n");
		return 2;
	}
	put(1, "KTAP version 1\n1..");
	put_number(1, argc == 2 ? 1 : count, 10);
	put(1, "\n");
	for (i = 0; i < count; i++)
		if (argc == 1 || i == chosen)
			failed |= ktap_run(__start_ktap_scenarios[i], ++number);
	return failed;
}

#endif
