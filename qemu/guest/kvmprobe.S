/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot sector that proves a machine able to run a 32-bit kernel: it enters protected mode, turns paging on,
 * checks that a page is mapped where the page table says, and tells QEMU by its isa-debug-exit device (port 0xf4;
 * exit status = value * 2 + 1). Where KVM cannot run 32-bit guests this hangs, mostly already in the BIOS.
 *
 * gcc -m32 -c, ld -m elf_i386 -Ttext 0x7c00 --oformat binary
 */
#define EXIT_PORT	0xf4
#define WORKS		0x21	/* exit status 67 */
#define DIRECTORY	0x10000
#define TABLE		0x11000
#define ALIAS		0x200000	/* mapped to TABLE, which says so in its last entry */
#define PRESENT_WRITE	3

	.code16
	.globl _start
_start:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$1, %al			/* PE */
	mov	%eax, %cr0
	ljmp	$0x08, $protected

	.code32
protected:
	mov	$0x10, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	cld

	/* A directory with one table, which maps the first 2 MiB onto themselves, and ALIAS. */
	xor	%eax, %eax
	mov	$DIRECTORY, %edi
	mov	$2048, %ecx
	rep stosl
	movl	$(TABLE + PRESENT_WRITE), DIRECTORY
	mov	$TABLE, %edi
	mov	$PRESENT_WRITE, %eax
	mov	$512, %ecx
1:	stosl
	add	$0x1000, %eax
	loop	1b
	movl	$(TABLE + PRESENT_WRITE), TABLE + (ALIAS >> 12) * 4

	mov	$DIRECTORY, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$0x80000000, %eax	/* PG */
	mov	%eax, %cr0
	jmp	2f
2:	mov	ALIAS + (ALIAS >> 12) * 4, %eax
	and	$~0xfff, %eax		/* the walk has set the "accessed" bit by now */
	cmp	$TABLE, %eax
	jne	3f
	mov	$WORKS, %al
	out	%al, $EXIT_PORT
3:	hlt
	jmp	3b

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff	/* code: flat, 4 GiB */
	.quad	0x00cf92000000ffff	/* data */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt

	.org	510
	.word	0xaa55
