/* stream/info.h - what a stream is, as lines of key and value (cms-info(1)). */
#ifndef CM_STREAM_INFO_H
#define CM_STREAM_INFO_H

#include "base/bytes.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends what is known of a reader that has been read to END: "key TAB value" lines. */
void cm_info_stream(const struct cm_reader *r, struct cm_buf *to);
/* Appends "tensor.NAME TAB type AxB". */
void cm_info_tensor(const struct cm_tensor *t, struct cm_buf *to);

#ifdef __cplusplus
}
#endif
#endif
