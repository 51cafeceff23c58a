/* retc: run retention networks from C.
 *
 * Ownership. `create`/`open` gives you an object that you destroy. Accessors lend: what they return lives as long as
 * the object they were asked of, or until the next call that is said to change it. Arguments are borrowed for the call.
 * Errors. Every call that can fail returns a retc_status; the words are kept in the context (retc_context_message).
 * Threads. Objects made from different contexts are independent. One context and what was made from it is used by one
 * thread at a time; a session runs its kernels on its own threads, or on the GPU.
 * Shapes are row-major; B batch rows, T tokens, V vocabulary size. Positions count from 0 since the last reset. */
#ifndef RETC_H
#define RETC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RETC_API_VERSION 1

typedef enum retc_status {
  RETC_OK = 0,
  RETC_FAILED = 1,   /* the work failed or a check did not hold */
  RETC_INVALID = 2,  /* the caller's input is wrong: an argument, a file, a model description */
  RETC_INTERNAL = 3, /* a defect of retc: a pass broke its promise, the backend refused a kernel */
} retc_status;

typedef struct retc_context retc_context;
typedef struct retc_model retc_model;
typedef struct retc_session retc_session;

/* The version that the library was built as. */
const char *retc_version(void);
int retc_api_version(void);

/* A context owns the diagnostics. When it cannot be created, for want of memory, there are no words. */
retc_status retc_context_create(retc_context **out_context);
void retc_context_destroy(retc_context *context);
/* What went wrong, one line a message, "" when nothing did. Lent until the next call on this context. */
const char *retc_context_message(const retc_context *context);

typedef struct retc_model_options {
  size_t struct_size;   /* sizeof(retc_model_options) */
  int64_t chunk_length; /* tokens a chunk, part of the model's arithmetic, at most 2^20; 0: the model's default */
  int threads;          /* that run kernels; 0: as many as the process may use */
  const char *weights;  /* matrices in memory: "f32", "f16", "bf16", "int8", "int4"; NULL: as stored */
  const char *math;     /* of products with them: "f32", "bf16", "int8", on a GPU "f32", "bf16", "f16";
                           NULL: what goes with the weights, on a GPU "f32" */
  const char *target;   /* where kernels run: "cpu", or "hip", the first AMD GPU; NULL: "cpu" */
} retc_model_options;

/* Reads the model directory `path` (config.json, *.safetensors), compiles it for this machine's CPU, or its GPU, and
 * loads the weights there. `options` may be NULL. The context must outlive the model. RETC_FAILED without a GPU, HIP's
 * library or enough device memory. */
retc_status retc_model_open(retc_context *context, const char *path, const retc_model_options *options,
                            retc_model **out_model);
void retc_model_destroy(retc_model *model);
int64_t retc_model_vocabulary_size(const retc_model *model);
int64_t retc_model_chunk_length(const retc_model *model);

typedef struct retc_session_options {
  size_t struct_size; /* sizeof(retc_session_options) */
  int64_t batch;      /* rows B that run in step; 0: 1 */
  int64_t max_tokens; /* tokens a row taken through the kernels at once, longer input is cut; 0: 512.
                         Results do not depend on it, memory does. */
} retc_session_options;

/* A session is B sequences with their recurrent state, at position 0. `options` may be NULL. The model must outlive it.
 */
retc_status retc_session_create(retc_model *model, const retc_session_options *options, retc_session **out_session);
void retc_session_destroy(retc_session *session);
/* Back to position 0 with an empty state. */
void retc_session_reset(retc_session *session);
/* Tokens taken so far, of each row. */
int64_t retc_session_position(const retc_session *session);

/* Feeds tokens[B,T], T >= 1, and computes the logits of the last position. However a sequence is cut into calls, the
 * bits are the same. A token outside 0..V-1 is RETC_INVALID and changes nothing. */
retc_status retc_session_prefill(retc_session *session, const int64_t *tokens, int64_t token_count);
/* The same for one token a row: tokens[B]. */
retc_status retc_session_step(retc_session *session, const int64_t *tokens);
/* The same as prefill, and writes the logits of all T positions to out_logits[B,T,V]. */
retc_status retc_session_evaluate(retc_session *session, const int64_t *tokens, int64_t token_count, float *out_logits);
/* Logits [B,V] of the last position. Lent until the next call that feeds tokens; NULL before the first. */
const float *retc_session_logits(const retc_session *session);

/* Text. A model whose directory has a tokenizer.model has SentencePiece's tokens; one of 256 tokens and no tokenizer
 * file has bytes. RETC_INVALID for any other, and RETC_FAILED when the library was built without SentencePiece; token
 * ids work all the same. The tokenizer may know fewer tokens than the model (V may be padded), not more. */

/* The tokens of text[size], without bos and eos: out_tokens[count]. Lent until the next encode of this model. */
retc_status retc_model_encode(retc_model *model, const char *text, size_t size, const int64_t **out_tokens,
                              int64_t *out_count);
/* What a text begins with and ends at: the config's ids, else the tokenizer's. -1: nothing, as in a model of bytes. */
retc_status retc_model_text_bounds(retc_model *model, int64_t *out_bos, int64_t *out_eos);

/* Turns tokens into text as they come. What it gives, put together, is the text of the whole sequence: only the bytes
 * of an unfinished UTF-8 character are held back, at most 3. Start it with the prompt's tokens to get a continuation
 * with its blanks right. The model must outlive it. */
typedef struct retc_decoder retc_decoder;
retc_status retc_decoder_create(retc_model *model, retc_decoder **out_decoder);
void retc_decoder_destroy(retc_decoder *decoder);
/* The text that tokens[count] bring, out_text[size] and a NUL. Lent until the next call on this decoder. A token
 * without text, such as bos or one that the tokenizer does not know, brings none. */
retc_status retc_decoder_add(retc_decoder *decoder, const int64_t *tokens, int64_t count, const char **out_text,
                             size_t *out_size);
/* What was held back, at the end of a text; lent likewise. */
retc_status retc_decoder_finish(retc_decoder *decoder, const char **out_text, size_t *out_size);

typedef struct retc_sampling {
  size_t struct_size; /* sizeof(retc_sampling) */
  float temperature;  /* 0: greedy, the first of the largest logits */
  float top_p;        /* keep the most likely tokens until their probabilities reach top_p; 0 or 1: all */
  int64_t top_k;      /* keep the k most likely tokens; 0: all */
  uint64_t seed;
} retc_sampling;

/* Draws a token from logits[V], V at most 2^23. Draw number `index` of a seed is a pure function of (logits, sampling,
 * index), the same on every machine: the tokens that are kept are laid out in order of likelihood, of equal logits the
 * lower token first, with weights that are integers, and one of them is where the draw falls.
 * RETC_INVALID when the options are out of range, RETC_FAILED when the logits hold a NaN. */
retc_status retc_sample(retc_context *context, const float *logits, int64_t vocabulary_size,
                        const retc_sampling *sampling, uint64_t index, int64_t *out_token);

#ifdef __cplusplus
}
#endif
#endif
