/* A virtual machine monitor with one guest: memory of the guest, in MIB, of which the guest reads one part, HOT MIB from the first
 * MIB on, again and again, and then halts for a while; arguments: MIB and HOT. What the guest touches is not touched by this
 * process, so its own page tables have no accessed bits for it. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB (1UL << 20)
#define CODE 0x1000UL

/* Reads a word of each page from the first MIB to `end`, halts, and begins again. */
static void write_code(unsigned char *code, uint32_t end)
{
    static const unsigned char program[] = {
        0xbe, 0x00, 0x00, 0x10, 0x00,             /* mov esi, 0x100000 */
        0x8b, 0x06,                               /* mov eax, [esi] */
        0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,       /* add esi, 0x1000 */
        0x81, 0xfe, 0, 0, 0, 0,                   /* cmp esi, end */
        0x72, 0xf0,                               /* jb, to the read */
        0xf4,                                     /* hlt */
        0xeb, 0xe8,                               /* jmp, to the start */
    };

    memcpy(code, program, sizeof program);
    memcpy(code + 15, &end, sizeof end);
}

/* 32 bits, without paging, all segments from 0 to 4 GiB. */
static int set_registers(int processor)
{
    struct kvm_segment data = { .limit = ~0U, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };
    struct kvm_segment code = data;
    struct kvm_sregs system;
    struct kvm_regs general = { .rip = CODE, .rflags = 2 };

    if (ioctl(processor, KVM_GET_SREGS, &system) < 0) {
        return -1;
    }
    code.selector = 8;
    code.type = 11;
    system.cs = code;
    system.ds = system.es = system.fs = system.gs = system.ss = data;
    system.cr0 |= 1;
    return ioctl(processor, KVM_SET_SREGS, &system) < 0 ? -1 : ioctl(processor, KVM_SET_REGS, &general);
}

int main(int argc, char **argv)
{
    size_t bytes = (argc > 2 ? (size_t)atoi(argv[1]) : 8) * MIB;
    size_t hot = (argc > 2 ? (size_t)atoi(argv[2]) : 1) * MIB;
    const struct timespec rest = { .tv_nsec = 20 * 1000 * 1000 };
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int machine = ioctl(kvm, KVM_CREATE_VM, 0UL);
    struct kvm_userspace_memory_region region = { .memory_size = bytes };
    struct kvm_run *run;
    unsigned char *memory;
    int processor, run_bytes;

    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (kvm < 0 || machine < 0 || memory == MAP_FAILED) {
        perror("no machine");
        return 1;
    }
    /* Unlike any other mapping, so that the kernel does not make one of the two. */
    madvise(memory, bytes, MADV_DONTDUMP);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (size_t page = 0; page < bytes; page += 4096) {
        memset(memory + page, (int)(page / 4096 % 251), 4096);
    }
    write_code(memory + CODE, (uint32_t)(MIB + hot));
    region.userspace_addr = (uintptr_t)memory;
    processor = ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -1 : ioctl(machine, KVM_CREATE_VCPU, 0UL);
    run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
    if (processor < 0 || run_bytes < 0 || set_registers(processor) < 0) {
        perror("no processor");
        return 1;
    }
    run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);
    if (run == MAP_FAILED) {
        perror("no state of the processor");
        return 1;
    }
    for (int round = 0;; round++) {
        if (ioctl(processor, KVM_RUN, 0UL) < 0 || run->exit_reason != KVM_EXIT_HLT) {
            fprintf(stderr, "the guest ended: %u\n", run->exit_reason);
            return 1;
        }
        if (round == 0) {
            printf("ready %lx\n", (unsigned long)memory);
            fflush(stdout);
        }
        nanosleep(&rest, NULL);
    }
}
