/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Just enough to write an i386 program without a C library: system calls through int 0x80, and a few helpers.
 *
 * A program that includes this has exactly the mappings that its ELF file and its own mmap() calls give it: no
 * loader, no heap, no thread area, and not one system call before main(). Build it with -nostdlib -static
 * -ffreestanding. Linux 4.15, arch/x86/entry/syscalls/syscall_32.tbl has the numbers.
 */
#ifndef NOLIBC_H
#define NOLIBC_H

#define NR_exit 1
#define NR_fork 2
#define NR_read 3
#define NR_write 4
#define NR_open 5
#define NR_close 6
#define NR_waitpid 7
#define NR_execve 11
#define NR_getpid 20
#define NR_pause 29
#define NR_access 33
#define NR_kill 37
#define NR_brk 45
#define NR_fcntl 55
#define NR_getppid 64
#define NR_mmap 90
#define NR_munmap 91
#define NR_clone 120
#define NR_mprotect 125
#define NR_sched_yield 158
#define NR_nanosleep 162
#define NR_mremap 163
#define NR_prctl 172
#define NR_vfork 190
#define NR_futex 240
#define NR_io_setup 245
#define NR_exit_group 252

#define PROT_NONE 0x0
#define PROT_READ 0x1
#define PROT_WRITE 0x2
#define MAP_SHARED 0x01
#define MAP_PRIVATE 0x02
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20

#define O_RDONLY 0
#define O_RDWR 2
#define O_CREAT 0100
#define O_CLOEXEC 02000000
#define PAGE_SIZE 4096UL

#define UNUSED __attribute__((unused))

/* gcc may emit calls to these even when freestanding. */
void *memset(void *to, int byte, unsigned long count);
void *memcpy(void *to, const void *from, unsigned long count);

void *memset(void *to, int byte, unsigned long count)
{
	void *start = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(byte) : "memory");
	return start;
}

void *memcpy(void *to, const void *from, unsigned long count)
{
	void *start = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	return start;
}

/* A system call with up to five arguments; returns what the kernel does: -errno on failure. */
static inline long sys5(long number, long a, long b, long c, long d, long e)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return result;
}

#define sys0(number) sys5(number, 0, 0, 0, 0, 0)
#define sys1(number, a) sys5(number, (long)(a), 0, 0, 0, 0)
#define sys2(number, a, b) sys5(number, (long)(a), (long)(b), 0, 0, 0)
#define sys3(number, a, b, c) sys5(number, (long)(a), (long)(b), (long)(c), 0, 0)

/* mmap() with its six arguments in memory, as the i386 call of number 90 takes them; `offset` in bytes. */
static inline long sys_mmap_at(unsigned long address, unsigned long length, int prot, int flags, int fd,
			       unsigned long offset)
{
	unsigned long arguments[6] = { address, length, (unsigned long)prot, (unsigned long)flags, (unsigned long)fd,
				       offset };

	return sys1(NR_mmap, arguments);
}

static inline long sys_mmap(unsigned long address, unsigned long length, int prot, int flags, int fd)
{
	return sys_mmap_at(address, length, prot, flags, fd, 0);
}

/* Addresses and small negative numbers (-errno) share one type. */
static inline int is_error(long result)
{
	return (unsigned long)result > -4096UL;
}

/* Ends the process, all its threads included. */
static void __attribute__((noreturn)) leave(int status)
{
	for (;;)
		sys1(NR_exit_group, status);
}

static UNUSED int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static UNUSED unsigned long length_of(const char *text)
{
	unsigned long n = 0;

	while (text[n])
		n++;
	return n;
}

static UNUSED void put(int fd, const char *text)
{
	sys3(NR_write, fd, text, length_of(text));
}

/* Prints a number in base 10 or 16 (digits only). */
static UNUSED void put_number(int fd, unsigned long value, unsigned int base)
{
	char digits[12];
	int at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	put(fd, digits + at);
}

/* Prints what a system call returned, as "TEXT N". */
static UNUSED void put_result(const char *text, long result)
{
	put(1, text);
	put(1, result < 0 ? " -" : " ");
	put_number(1, (unsigned long)(result < 0 ? -result : result), 10);
	put(1, "\n");
}

static UNUSED void __attribute__((noreturn)) die(const char *what, long result)
{
	put(2, what);
	put(2, ": error ");
	put_number(2, (unsigned long)(is_error(result) ? -result : result), 10);
	put(2, "\n");
	leave(1);
}

/* Reads a decimal number; -1 when the text is not one. */
static UNUSED long number_of(const char *text)
{
	long value = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		value = value * 10 + (*text - '0');
	}
	return value;
}

/* Copies a whole file to a descriptor. */
static UNUSED void put_file(int fd, const char *path)
{
	char buffer[1024];
	long in = sys3(NR_open, path, O_RDONLY, 0);
	long count;

	if (is_error(in))
		die(path, in);
	while ((count = sys3(NR_read, in, buffer, sizeof(buffer))) > 0)
		sys3(NR_write, fd, buffer, count);
	sys1(NR_close, in);
}

int main(int argc, char **argv);

/* Called by _start with the stack as the kernel left it: argc, then argv. */
void start_main(long *stack);

void __attribute__((noreturn, used)) start_main(long *stack)
{
	leave(main((int)stack[0], (char **)(stack + 1)));
}

asm(".globl _start\n"
    "_start:\n"
    "	xor %ebp, %ebp\n"
    "	mov %esp, %eax\n"
    "	and $-16, %esp\n"
    "	sub $12, %esp\n"
    "	push %eax\n"
    "	call start_main\n");

#endif
