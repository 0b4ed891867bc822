"""The guest: what is in it, how it is started, how one talks to it.

From the bottom up: `programs` compiles, `busybox` finds a shell, `cpio` and `initramfs` pack them, `machine`
describes the virtual machine, `qemu` runs one, `control` carries frames over its second serial line,
`kernel_log` and `failures` read what the kernel said, `session` is the guest that commands are run in,
`saved` restores one that has booted already, `terminal` lends it the user's terminal, `kvm` says whether KVM works.
"""
