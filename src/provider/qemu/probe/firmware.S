# A 64 KiB firmware image that proves whether an accelerator can run a guest at all.
#
# The processor starts at the reset vector in 16-bit mode. The image builds an identity map of the
# first 4 GiB, enters 64-bit mode, writes and reads memory in a loop, executes CPUID (which leaves
# the guest on every hypervisor) and then writes 17 to the port of isa-debug-exit, so that QEMU
# exits with (17 << 1) | 1 = 35. A probe that stays in 16-bit mode is not enough: there are hosts
# whose KVM runs that and then spins in 64-bit mode.
#
# Anything unexpected is a triple fault, which with -no-reboot ends QEMU with status 0.
#
# Build: as --32 -o firmware.o firmware.S
#        ld -m elf_i386 -Ttext=0xffff0000 --oformat=binary -o firmware.bin firmware.o

        .equ    PML4, 0x1000            # page tables, in low memory
        .equ    PDPT, 0x2000
        .equ    PAGE_DIRECTORY, 0x3000  # four pages, 2048 entries of 2 MiB
        .equ    SCRATCH, 0x8000         # memory that the loop works on
        .equ    EXIT_PORT, 0xf4
        .equ    EXIT_VALUE, 17

        .text
        .globl  _start
_start:
        .code16
real_mode:
        cli
        cld
        # The code segment's base is still 0xffff0000, so the label is used as an offset in it.
        lgdtl   %cs:(gdt_pointer - _start)
        movl    %cr0, %eax
        orb     $1, %al                 # protection
        movl    %eax, %cr0
        ljmpl   $0x08, $protected_mode

        .code32
protected_mode:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss

        # PML4 and PDPT: one entry, and four entries for 4 GiB.
        xorl    %eax, %eax
        movl    $PML4, %edi
        movl    $(0x2000 / 4), %ecx
        rep stosl
        movl    $(PDPT + 3), PML4
        movl    $(PAGE_DIRECTORY + 0x0003), PDPT
        movl    $(PAGE_DIRECTORY + 0x1003), PDPT + 8
        movl    $(PAGE_DIRECTORY + 0x2003), PDPT + 16
        movl    $(PAGE_DIRECTORY + 0x3003), PDPT + 24

        # 2048 large pages, present and writable.
        movl    $PAGE_DIRECTORY, %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        movl    $0, 4(%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        decl    %ecx
        jnz     1b

        movl    %cr4, %eax
        orl     $0x20, %eax             # physical address extension
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       # EFER
        rdmsr
        orl     $0x100, %eax            # long mode
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax       # paging
        movl    %eax, %cr0
        ljmpl   $0x18, $long_mode

        # The assembler runs with --32, so the 64-bit part is written with instructions whose
        # encoding is the same in both modes (32-bit operands, addresses in registers).
long_mode:
        movl    $SCRATCH, %ebx
        movl    $100000, %ecx
        movl    %ecx, (%ebx)
2:      addl    $1, (%ebx)
        subl    $1, %ecx
        jnz     2b
        cmpl    $200000, (%ebx)
        jne     dead
        # 0x48 is a prefix without effect here, and `dec %eax` for a processor in 32-bit mode.
        movl    $1, %eax
        .byte   0x48
        nop
        testl   %eax, %eax
        jz      dead
        movl    $0x80000000, %eax
        cpuid
        movl    $EXIT_VALUE, %eax
        outb    %al, $EXIT_PORT
dead:   hlt
        jmp     dead

        .balign 8, 0xff
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff      # 0x08: 32-bit code
        .quad   0x00cf92000000ffff      # 0x10: data
        .quad   0x00af9a000000ffff      # 0x18: 64-bit code
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

        .org    0xfff0, 0xff
        .code16
reset_vector:
        jmp     real_mode
        .org    0x10000, 0xff
