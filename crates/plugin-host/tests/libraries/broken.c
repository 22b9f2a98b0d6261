// Plugins that must be refused: each has one mistake, chosen with -DMISTAKE=NAME.

#include <math.h>

#include "foldback_plugin.h"

enum {
    NONE,
    OTHER_VERSION,
    OTHER_SIZE,
    NULL_PLUGIN,
    NO_KINDS,
    NULL_KINDS,
    MALFORMED_KIND_NAME,
    NULL_ABOUT,
    NOT_UTF8,
    NULL_PROCESS,
    NULL_PARAMS,
    MANY_PARAMS,
    DEFAULT_OUT_OF_RANGE,
    NAN_DEFAULT,
    INFINITE_MAX,
    RANGE_UPSIDE_DOWN,
    FRACTION,
    UNKNOWN_TYPE,
    NO_CHOICE,
    LIVE_WITHOUT_ADJUST,
    LIVE_TEXT,
    RESERVED_NAME,
    TWICE,
    REFUSES,
    REFUSES_SILENTLY,
    MISSING_FUNCTION,
    FAULT,
};

#define IS(mistake) (MISTAKE == mistake)
#define UNLESS(mistake, value) (IS(mistake) ? 0 : (value))

void a_function_that_nobody_has(void);

static FoldbackStage *create(const FoldbackKind *kind, const FoldbackValue *values,
                             uint32_t channels, char *error, size_t error_size) {
    (void)kind, (void)values, (void)channels;
    if (IS(REFUSES) && error_size > 8) __builtin_memcpy(error, "not \xff now", 9);
    if (IS(MISSING_FUNCTION)) a_function_that_nobody_has();
    return IS(REFUSES) || IS(REFUSES_SILENTLY) ? 0 : (FoldbackStage *)error;
}

static void destroy(FoldbackStage *stage) { (void)stage; }

static int32_t process(FoldbackStage *stage, float *const *planes, uint32_t channels,
                       uint32_t samples, FoldbackContext *context) {
    (void)stage, (void)context;
    if (!IS(FAULT)) return FOLDBACK_OK;
    for (uint32_t channel = 0; channel < channels; channel++)
        for (uint32_t i = 0; i < samples; i++) planes[channel][i] = 9;
    return 77;
}

static uint32_t report(const FoldbackStage *stage, FoldbackReading *readings, uint32_t capacity) {
    (void)stage, (void)capacity;
    readings[0] = (FoldbackReading)FOLDBACK_READING("level_db", 0);
    // A name that is none, and a count beyond all that there is.
    readings[1] = (FoldbackReading){"\xff", 1, 0};
    return 4000000000u;
}

const FoldbackPlugin *foldback_plugin(void) {
    static FoldbackParam params[2];
    params[0] = (FoldbackParam){
        .name = IS(RESERVED_NAME) ? "enabled" : "level_db",
        .unit = "dB",
        .about = "How much.",
        .ty = IS(UNKNOWN_TYPE)  ? 9
              : IS(FRACTION)    ? FOLDBACK_PARAM_INT
              : IS(NO_CHOICE)   ? FOLDBACK_PARAM_CHOICE
              : IS(LIVE_TEXT)   ? FOLDBACK_PARAM_TEXT
                                : FOLDBACK_PARAM_FLOAT,
        .live = IS(LIVE_WITHOUT_ADJUST) || IS(LIVE_TEXT),
        .min = IS(RANGE_UPSIDE_DOWN) ? 20 : -10,
        .max = IS(INFINITE_MAX) ? INFINITY : 10,
        .default_number = IS(DEFAULT_OUT_OF_RANGE) ? 11
                          : IS(NAN_DEFAULT)        ? NAN
                          : IS(FRACTION)           ? 0.5
                                                   : 0,
        .default_text = "",
    };
    params[1] = params[0];
    static FoldbackKind kind;
    kind = (FoldbackKind){
        .name = IS(MALFORMED_KIND_NAME) ? "Bad Name" : "broken",
        .about = IS(NULL_ABOUT) ? 0 : IS(NOT_UTF8) ? "caf\xe9" : "For tests.",
        .params = UNLESS(NULL_PARAMS, params),
        .param_count = IS(TWICE) ? 2 : IS(MANY_PARAMS) ? 4000000000u : 1,
        .create = create,
        .destroy = destroy,
        .process = UNLESS(NULL_PROCESS, process),
        .report = report,
    };
    static FoldbackPlugin plugin;
    plugin = (FoldbackPlugin){
        .abi_version = FOLDBACK_PLUGIN_ABI_VERSION + IS(OTHER_VERSION),
        .kind_size = sizeof(FoldbackKind) + IS(OTHER_SIZE),
        .param_size = sizeof(FoldbackParam),
        .kind_count = !IS(NO_KINDS),
        .kinds = UNLESS(NULL_KINDS, &kind),
    };
    return UNLESS(NULL_PLUGIN, &plugin);
}
