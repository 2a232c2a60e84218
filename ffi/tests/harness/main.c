/* The C harness: every function's success and errors, through the header alone. */
#include "harness.h"

int main(void)
{
    CHECK(p2pgate_abi_version() == P2PGATE_ABI_VERSION);
    CHECK(p2pgate_version() == (P2PGATE_VERSION_MAJOR << 16 | P2PGATE_VERSION_MINOR << 8 | P2PGATE_VERSION_PATCH));
    for (p2pgate_result_t one = -43; one <= 1; one++) {
        CHECK(strcmp(p2pgate_strerror(one), p2pgate_strerror(-1000)) != 0);
        for (p2pgate_result_t other = -43; other < one; other++)
            CHECK(strcmp(p2pgate_strerror(one), p2pgate_strerror(other)) != 0);
    }
    test_objects();
    test_terminal_calls();
    test_world();
    puts("harness: all is well");
    return 0;
}
