/* baselines/deep_train.c - the perceptrons' way into the training loop. */
#include "baselines/deep.h"

int cm_deep_fit(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
                float *const z[2], const struct cm_train_callbacks *callbacks)
{
    const char *const slot[2] = {m->head.slot[0].name, m->head.slot[1].name};
    cm_config_write_net(&m->config, slot, &m->head.kv);
    cm_config_write_batches(&d->head.kv, true, &m->head.kv);
    struct cm_train_sample v = cm_train_sample(d, (uint64_t)m->config.seed, 0, CM_VALID_CELLS);
    int code = cm_train_network(m, d, o, z, &v, callbacks);
    cm_train_sample_free(&v);
    return code;
}
