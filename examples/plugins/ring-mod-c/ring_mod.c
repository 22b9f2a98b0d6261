// `ring-mod`: an example of a plugin in C. Build it in this folder with
//
//   cc -O2 -shared -fPIC -I ../../../crates/plugin-abi/include -o ring_mod.so ring_mod.c -lm
//
// and hear it with
//
//   foldback serve --config ring-mod.toml

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "foldback_plugin.h"

#define SAMPLE_RATE_HZ 48000.0
#define TAU 6.283185307179586

enum { FREQUENCY_HZ, MIX_PERCENT, PARAM_COUNT };

static const FoldbackParam PARAMS[PARAM_COUNT] = {
    [FREQUENCY_HZ] = {.name = "frequency_hz", .unit = "Hz", .about = "What is multiplied with.",
                      .ty = FOLDBACK_PARAM_FLOAT, .min = 1, .max = 4000, .default_number = 100},
    [MIX_PERCENT] = {.name = "mix_percent", .unit = "percent", .about = "How much of it is heard.",
                     .ty = FOLDBACK_PARAM_FLOAT, .live = 1, .max = 100, .default_number = 100},
};

typedef struct {
    double phase;  // radians; each sample adds `step`
    double step;
    double mix;  // 0 to 1, on its way to `target`
    double target;
} RingMod;

// Runs on a control thread: may allocate, may fail.
static FoldbackStage *create(const FoldbackKind *kind, const FoldbackValue *values,
                             uint32_t channels, char *error, size_t error_size) {
    (void)kind, (void)channels;
    RingMod *stage = calloc(1, sizeof *stage);
    if (!stage) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    stage->step = TAU * values[FREQUENCY_HZ].number / SAMPLE_RATE_HZ;
    stage->mix = stage->target = values[MIX_PERCENT].number / 100;
    return (FoldbackStage *)stage;
}

static void destroy(FoldbackStage *stage) { free(stage); }

// Runs on a media thread: never allocates, locks, logs or blocks.
static int32_t process(FoldbackStage *self, float *const *planes, uint32_t channels,
                       uint32_t samples, FoldbackContext *context) {
    (void)context;
    RingMod *stage = (RingMod *)self;
    for (uint32_t i = 0; i < samples; i++) {
        // A step would click.
        stage->mix += 0.005 * (stage->target - stage->mix);
        double factor = 1 - stage->mix * (1 - sin(stage->phase));
        for (uint32_t channel = 0; channel < channels; channel++)
            planes[channel][i] *= (float)factor;
        stage->phase = fmod(stage->phase + stage->step, TAU);
    }
    return FOLDBACK_OK;
}

static int32_t adjust(FoldbackStage *stage, const FoldbackValue *values) {
    ((RingMod *)stage)->target = values[MIX_PERCENT].number / 100;
    return FOLDBACK_OK;
}

static uint32_t report(const FoldbackStage *stage, FoldbackReading *readings, uint32_t capacity) {
    if (capacity < 1) return 0;
    double percent = 100 * ((const RingMod *)stage)->mix;
    readings[0] = (FoldbackReading)FOLDBACK_READING("mix_percent", (float)percent);
    return 1;
}

static const FoldbackKind KIND = {
    .name = "ring-mod",
    .about = "Multiplies the signal with a sine wave: voices become robots.",
    .params = PARAMS,
    .param_count = PARAM_COUNT,
    .create = create,
    .destroy = destroy,
    .process = process,
    .adjust = adjust,
    .report = report,
};

const FoldbackPlugin *foldback_plugin(void) {
    static const FoldbackPlugin PLUGIN = {
        FOLDBACK_PLUGIN_ABI_VERSION, sizeof(FoldbackKind), sizeof(FoldbackParam), 1, &KIND};
    return &PLUGIN;
}
