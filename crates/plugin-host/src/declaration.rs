//! What a library declares, checked.
#![allow(unsafe_code, reason = "libraries are opened, and their declarations read, through C")]

use std::error::Error;
use std::ffi::{CStr, c_char};
use std::mem;
use std::path::Path;
use std::slice;

use foldback_plugin_abi::{
    FOLDBACK_PARAM_BOOL, FOLDBACK_PARAM_CHOICE, FOLDBACK_PARAM_FLOAT, FOLDBACK_PARAM_INT,
    FOLDBACK_PARAM_TEXT, FOLDBACK_PLUGIN_ABI_VERSION, FoldbackKind, FoldbackParam, FoldbackPlugin,
};
use foldback_stage::{ParamSpec, ParamType, StageKind, is_words};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::stage::{Functions, LoadedKind};

/// More than any library has use for: a count beyond it was never meant as one.
const MOST: u32 = 1000;

/// The largest whole number below which a double holds every one.
const WHOLE: f64 = 9_007_199_254_740_992.0;

const BUILD_AGAIN: &str =
    "build it again with the foldback_plugin.h or the foldback-plugin-abi of this foldback";

/// Opens a library. One that is taken stays open; one that is refused is closed again.
pub(crate) fn open(absolute: &Path) -> Result<Vec<&'static StageKind>, String> {
    type Entry = unsafe extern "C" fn() -> *const FoldbackPlugin;

    // All symbols at once: a function that is missing must show here, and not on a media thread.
    // SAFETY: runs the library's initialisers, which the operator trusts by naming it.
    let library = unsafe { Library::open(Some(absolute), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| {
        // What the system says is behind what libloading does.
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        format!("cannot be opened: {reason}")
    })?;
    // SAFETY: whoever exports this name does so as the ABI says.
    let entry = unsafe { library.get::<Entry>(c"foldback_plugin") };
    let entry = entry.map_err(|_| "is no foldback plugin: it exports no `foldback_plugin`")?;
    // SAFETY: as above.
    let plugin = unsafe { entry() };
    let declared = read_plugin(plugin)?;
    mem::forget(library);
    Ok(declared.into_iter().map(LoadedKind::into_stage_kind).collect())
}

fn read_plugin(plugin: *const FoldbackPlugin) -> Result<Vec<LoadedKind>, String> {
    if plugin.is_null() {
        return Err("its `foldback_plugin` returned null".to_owned());
    }
    // SAFETY: not null, and in every version of the ABI this number comes first.
    let version = unsafe { plugin.cast::<u32>().read() };
    if version != FOLDBACK_PLUGIN_ABI_VERSION {
        return Err(format!(
            "made for plugin ABI {version}, this foldback has {FOLDBACK_PLUGIN_ABI_VERSION}; \
             {BUILD_AGAIN}"
        ));
    }
    // SAFETY: a plugin of this version is such a structure, for ever.
    let plugin: &'static FoldbackPlugin = unsafe { &*plugin };
    for (what, found, ours) in [
        ("kind", plugin.kind_size, size_of::<FoldbackKind>()),
        ("param", plugin.param_size, size_of::<FoldbackParam>()),
    ] {
        if found as usize != ours {
            return Err(format!(
                "its `{what}_size` is {found} bytes, must be {ours}; {BUILD_AGAIN}"
            ));
        }
    }
    let kinds = elements("kinds", plugin.kinds, plugin.kind_count)?;
    if kinds.is_empty() {
        return Err("it has no kinds of stage".to_owned());
    }
    let kinds = kinds.iter().zip(1..).map(|(kind, number)| {
        read_kind(kind).map_err(|what| format!("kind {number}{}: {what}", named(kind.name)))
    });
    kinds.collect()
}

fn read_kind(kind: &'static FoldbackKind) -> Result<LoadedKind, String> {
    let name = text("name", kind.name)?;
    words("name", name, '-')?;
    let params = elements("params", kind.params, kind.param_count)?;
    let read = params.iter().zip(1..).map(|(param, number)| {
        read_param(param).map_err(|what| format!("parameter {number}{}: {what}", named(param.name)))
    });
    let specs = read.collect::<Result<Vec<_>, _>>()?;
    for (i, spec) in specs.iter().enumerate() {
        if specs[..i].iter().any(|earlier| earlier.name == spec.name) {
            return Err(format!("two parameters are named `{}`", spec.name));
        }
    }
    let missing = |what: &str| format!("`{what}` is null");
    let functions = Functions {
        create: kind.create.ok_or_else(|| missing("create"))?,
        destroy: kind.destroy.ok_or_else(|| missing("destroy"))?,
        process: kind.process.ok_or_else(|| missing("process"))?,
        idle: kind.idle,
        adjust: kind.adjust,
        delay_samples: kind.delay_samples,
        warm_up_blocks: kind.warm_up_blocks,
        report: kind.report,
    };
    if let (None, Some(live)) = (functions.adjust, specs.iter().find(|spec| spec.live)) {
        return Err(format!("`{}` is live, but `adjust` is null", live.name));
    }
    let about = text("about", kind.about)?;
    Ok(LoadedKind { declared: kind, name, about, specs: specs.leak(), functions })
}

fn read_param(param: &'static FoldbackParam) -> Result<ParamSpec, String> {
    let name = text("name", param.name)?;
    words("name", name, '_')?;
    if ["kind", "name", "enabled", "optional"].contains(&name) {
        return Err("every stage has a key of this name".to_owned());
    }
    if param.ty == FOLDBACK_PARAM_TEXT && param.live != 0 {
        return Err("text cannot be live".to_owned());
    }
    let ty = read_type(param)?;
    Ok(ParamSpec { name, ty, about: text("about", param.about)?, live: param.live != 0 })
}

fn read_type(param: &'static FoldbackParam) -> Result<ParamType, String> {
    let default = param.default_number;
    let choice = |count: usize| (0..count).find(|index| *index as f64 == default);
    match param.ty {
        FOLDBACK_PARAM_FLOAT => {
            ordered(param, |v| v.abs() <= f32::MAX.into(), "a finite float")?;
            let [min, max, default] = [param.min, param.max, default].map(|v| v as f32);
            Ok(ParamType::Float { unit: text("unit", param.unit)?, min, max, default })
        }
        FOLDBACK_PARAM_INT => {
            ordered(param, |v| v.abs() <= WHOLE && v.fract() == 0.0, "whole and within ±2^53")?;
            let [min, max, default] = [param.min, param.max, default].map(|v| v as i64);
            Ok(ParamType::Int { unit: text("unit", param.unit)?, min, max, default })
        }
        FOLDBACK_PARAM_BOOL => match choice(2) {
            Some(index) => Ok(ParamType::Bool { default: index == 1 }),
            None => Err(format!("`default_number` is {default}, must be 0 or 1")),
        },
        FOLDBACK_PARAM_CHOICE => {
            let choices = elements("choices", param.choices, param.choice_count)?;
            let words = choices.iter().map(|word| text("choices", *word));
            let allowed: &[&str] = words.collect::<Result<Vec<_>, _>>()?.leak();
            match choice(allowed.len()) {
                Some(index) => Ok(ParamType::Choice { allowed, default: allowed[index] }),
                None => Err(format!(
                    "`default_number` is {default}, must be the index of one of the {} `choices`",
                    allowed.len()
                )),
            }
        }
        FOLDBACK_PARAM_TEXT => {
            Ok(ParamType::Text { default: text("default_text", param.default_text)? })
        }
        other => Err(format!("`ty` is {other}, must be 0 to {FOLDBACK_PARAM_TEXT}")),
    }
}

/// That `min <= default_number <= max`, each of them `allowed`.
fn ordered(param: &FoldbackParam, allowed: impl Fn(f64) -> bool, what: &str) -> Result<(), String> {
    let FoldbackParam { min, max, default_number: default, .. } = *param;
    for (key, value) in [("min", min), ("max", max), ("default_number", default)] {
        if !allowed(value) {
            return Err(format!("`{key}` is {value}, must be {what}"));
        }
    }
    if min > max {
        return Err(format!("`min` is {min}, which is above `max`, {max}"));
    }
    if !(min..=max).contains(&default) {
        return Err(format!("`default_number` is {default}, must be from {min} to {max}"));
    }
    Ok(())
}

fn words(key: &str, name: &str, joint: char) -> Result<(), String> {
    match is_words(name, joint) {
        true => Ok(()),
        false => Err(format!("`{key}` is {name:?}, must be lower-case words joined by `{joint}`")),
    }
}

/// Text of a declaration.
fn text(key: &str, text: *const c_char) -> Result<&'static str, String> {
    if text.is_null() {
        return Err(format!("`{key}` is null"));
    }
    // SAFETY: not null; declarations are for ever, and their text ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| format!("`{key}` is {text:?}, must be UTF-8"))
}

/// A list of a declaration.
fn elements<T>(key: &str, first: *const T, count: u32) -> Result<&'static [T], String> {
    match count {
        0 => Ok(&[]),
        _ if first.is_null() => Err(format!("`{key}` is null")),
        1..=MOST => {
            // SAFETY: not null; declarations are for ever, and have as many as they say.
            Ok(unsafe { slice::from_raw_parts(first, count as usize) })
        }
        _ => Err(format!("there are {count} `{key}`, must be at most {MOST}")),
    }
}

/// The name of a kind or parameter for a message about it, where it can be told.
fn named(name: *const c_char) -> String {
    text("name", name).map_or(String::new(), |name| format!(" ({name:?})"))
}
