/* text.c - fuzz target: `cms-text --from` on any bytes.  The promise stands in text.h. */
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cm_panic_hook(fuzz_panic);
    if (size)
        fuzz_from_text(data, size);
    return 0;
}
