// Stages for foldback as shared libraries. Generated from crates/plugin-abi: do not edit.
//
// Start from examples/plugins/ring-mod-c, and docs/writing-a-stage.md.

#ifndef FOLDBACK_PLUGIN_H
#define FOLDBACK_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define FOLDBACK_EXPORT __attribute__((visibility("default")))

// A FoldbackReading with a name that is a string literal.
#define FOLDBACK_READING(name, value) {(name), sizeof(name) - 1, (value)}

#ifdef __cplusplus
extern "C" {
#endif

// What every library exports and defines.
FOLDBACK_EXPORT const struct FoldbackPlugin *foldback_plugin(void);

#ifdef __cplusplus
}
#endif


// The version of this ABI. A plugin made for another is not loaded.
#define FOLDBACK_PLUGIN_ABI_VERSION 1

// A number from `min` to `max`: float precision.
#define FOLDBACK_PARAM_FLOAT 0

// A whole number from `min` to `max`, each within +-2^53.
#define FOLDBACK_PARAM_INT 1

// A switch: 0 or 1.
#define FOLDBACK_PARAM_BOOL 2

// One of `choices`: its index.
#define FOLDBACK_PARAM_CHOICE 3

// Any text without a NUL. Never live.
#define FOLDBACK_PARAM_TEXT 4

// All is well.
#define FOLDBACK_OK 0

// The stage broke: it is bypassed from this block on, counted, and not called again but to be
// destroyed. Any other number than `FOLDBACK_OK` means the same.
#define FOLDBACK_FAULT 1

// A running stage: the plugin's own.
typedef struct FoldbackStage FoldbackStage;

// One parameter.
typedef struct FoldbackParam {
  // The key in TOML: lower-case words joined by underscores, the last of them the unit.
  const char *name;
  // `"dB"`, `"Hz"`, `"ms"`..., or `""`.
  const char *unit;
  // One sentence: what turning it does.
  const char *about;
  // `FOLDBACK_PARAM_FLOAT` and so on.
  uint32_t ty;
  // 1 if running stages take new values (`adjust`), else 0: a change makes the stage anew.
  uint32_t live;
  // Least allowed, of a `FLOAT` or an `INT`.
  double min;
  // Most allowed, of a `FLOAT` or an `INT`.
  double max;
  // The value when none is given; of a `CHOICE` its index.
  double default_number;
  // Of a `TEXT`: the value when none is given.
  const char *default_text;
  // Of a `CHOICE`: the words.
  const char *const *choices;
  // How many `choices` there are.
  uint32_t choice_count;
} FoldbackParam;

// The value of one parameter.
typedef struct FoldbackValue {
  // Of all but a `TEXT`.
  double number;
  // Of a `TEXT`, valid for the call; else null.
  const char *text;
} FoldbackValue;

// What a stage may know and tell about one block besides its audio. Valid for the call.
typedef struct FoldbackContext {
  // Bytes of this structure: a host of a later version may have more members at its end.
  uint32_t size;
  // Samples that the jitter buffer inserted (positive) or removed (negative) since the block
  // before.
  int32_t shift_samples;
  // Samples of recorded signal that came before the first sample of this block.
  uint64_t position_samples;
  // What the participant is being played, mono; null after `mix`.
  const float *far_end;
  // How many samples `far_end` has.
  uint32_t far_end_samples;
  // Probability that this block holds speech, 0 to 1; negative where nobody told yet. A stage
  // that estimates it writes it.
  float voice_probability;
} FoldbackContext;

// One live value. See `FOLDBACK_READING`.
typedef struct FoldbackReading {
  // Name with its unit, like `gain_reduction_db`; stays valid until the process ends.
  const char *name;
  // Bytes of `name`; what follows them is not read.
  uint32_t name_length;
  // The value now.
  float value;
} FoldbackReading;

// One kind of stage: its declaration and its functions.
//
// `create` and `destroy` are called on control threads, where they may allocate and take
// milliseconds. All others are called on a media thread, every 10 ms: they never allocate, lock,
// log, block or do IO. The calls to one stage never overlap, but come from several threads; the
// calls to different stages do overlap. No exception and no `longjmp` may leave a function.
typedef struct FoldbackKind {
  // What operators write after `kind =`: lower-case words joined by hyphens.
  const char *name;
  // One or two sentences for `foldback stages`.
  const char *about;
  // Every parameter, in the order to show them; may be null if there are none.
  const struct FoldbackParam *params;
  // How many `params` there are.
  uint32_t param_count;
  // The plugin's own, to know in `create` which kind is meant; may be null.
  const void *data;
  // Makes a stage for 1 or 2 channels. `values` has one value for each of `params`, checked
  // against its range. Where they cannot work together, it writes a sentence for the operator
  // that ends in NUL into `error`, which has `error_size` bytes, and returns null.
  struct FoldbackStage *(*create)(const struct FoldbackKind *kind,
                                  const struct FoldbackValue *values,
                                  uint32_t channels,
                                  char *error,
                                  size_t error_size);
  // Frees a stage.
  void (*destroy)(struct FoldbackStage *stage);
  // Takes a block of `samples` (480: 10 ms at 48 kHz) through the stage, in place. `planes` has
  // one pointer for each of the channels that the stage was created for. Samples are within
  // +-16.0, full scale is +-1.0; those that come out must be finite. Returns `FOLDBACK_OK`.
  int32_t (*process)(struct FoldbackStage *stage,
                     float *const *planes,
                     uint32_t channels,
                     uint32_t samples,
                     struct FoldbackContext *context);
  // Called instead of `process` while the participant is silent and its audio is not needed; for
  // stages that follow the far end. May be null. Returns `FOLDBACK_OK`.
  int32_t (*idle)(struct FoldbackStage *stage, struct FoldbackContext *context);
  // Takes new values of the parameters that are live; the others are as in `create`, and text is
  // null. Moves to the new values so that no step is heard. May be null if no parameter is live.
  // Returns `FOLDBACK_OK`.
  int32_t (*adjust)(struct FoldbackStage *stage, const struct FoldbackValue *values);
  // How much later a sample leaves than it came, in samples; constant. May be null: none.
  uint32_t (*delay_samples)(const struct FoldbackStage *stage);
  // How many blocks a fresh stage must have seen before it sounds like one that ran all along.
  // May be null: none.
  uint32_t (*warm_up_blocks)(const struct FoldbackStage *stage);
  // Writes up to `capacity` live values for people and metrics, and returns how many. May be
  // null: none.
  uint32_t (*report)(const struct FoldbackStage *stage,
                     struct FoldbackReading *readings,
                     uint32_t capacity);
} FoldbackKind;

// What a library is: the result of its one exported function,
//
// `const FoldbackPlugin *foldback_plugin(void);`
//
// It and all it points to stays as it is until the process ends; libraries are never unloaded.
// All text is UTF-8 and ends in NUL.
typedef struct FoldbackPlugin {
  // `FOLDBACK_PLUGIN_ABI_VERSION`. The first member in every version.
  uint32_t abi_version;
  // `sizeof(FoldbackKind)`.
  uint32_t kind_size;
  // `sizeof(FoldbackParam)`.
  uint32_t param_size;
  // How many `kinds` there are; at least 1.
  uint32_t kind_count;
  // The kinds of stage that the library adds.
  const struct FoldbackKind *kinds;
} FoldbackPlugin;

#endif  /* FOLDBACK_PLUGIN_H */
