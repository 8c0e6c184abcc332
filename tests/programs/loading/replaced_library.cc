// A library with one function, whose frame has FRAME_BYTES. Built twice: everything but that
// number is the same, so one lies where the other lay, and its code at the same addresses.
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

// void CallThrough(void (*function)()). The word at FRAME_BYTES - 16 is 0: with a frame of 40
// it lies where the return address of one of 24 is.
__asm__(
    ".text\n"
    ".globl CallThrough\n"
    ".type CallThrough, @function\n"
    "CallThrough:\n"
    ".cfi_startproc\n"
    "sub $" TEXT(FRAME_BYTES) ", %rsp\n"
    ".cfi_adjust_cfa_offset " TEXT(FRAME_BYTES) "\n"
    "movq $0, " TEXT(FRAME_BYTES) "-16(%rsp)\n"
    "call *%rdi\n"
    "add $" TEXT(FRAME_BYTES) ", %rsp\n"
    ".cfi_adjust_cfa_offset -" TEXT(FRAME_BYTES) "\n"
    "ret\n"
    ".cfi_endproc\n"
    ".size CallThrough, . - CallThrough\n");
