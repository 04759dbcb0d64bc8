/* links/factored.c - memory of factored residuals.  See links/factored.h. */
#include "links/factored.h"

#include <string.h>

#include "base/mem.h"

void cm_factored_free(struct cm_factored *f)
{
    cm_free(f->ptr);
    cm_free(f->cell);
    cm_free(f->val);
    cm_free(f->left);
    memset(f, 0, sizeof *f);
}
