//! Declared, ranged, unit-carrying parameters.
//!
//! A parameter is declared once, as a `const` [`ParamSpec`]. The configuration checks what an
//! operator wrote against it, `foldback stages` prints it, and the plugin reads its value with it
//! as the key, so that name, range and default cannot drift apart.

use std::fmt;
use std::sync::Arc;

/// The declaration of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParamSpec {
    /// The key in TOML; ends in its unit where it has one (`cutoff_hz`, `hold_ms`).
    pub name: &'static str,
    /// Type, range and default.
    pub ty: ParamType,
    /// One sentence: what turning it does.
    pub about: &'static str,
    /// Whether a running stage takes a new value ([`Stage::adjust`](crate::Stage::adjust)); else
    /// a change builds the stage anew.
    pub live: bool,
}

/// Type, range and default of a parameter. Ranges are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParamType {
    /// A number; TOML integers are taken too.
    Float {
        /// `"dB"`, `"Hz"`, `"ms"`..., or empty for a bare number.
        unit: &'static str,
        /// Least allowed.
        min: f32,
        /// Most allowed.
        max: f32,
        /// Value when not given.
        default: f32,
    },
    /// A whole number.
    Int {
        /// As for `Float`.
        unit: &'static str,
        /// Least allowed.
        min: i64,
        /// Most allowed.
        max: i64,
        /// Value when not given.
        default: i64,
    },
    /// `true` or `false`.
    Bool {
        /// Value when not given.
        default: bool,
    },
    /// One of a few words.
    Choice {
        /// The words allowed.
        allowed: &'static [&'static str],
        /// Value when not given.
        default: &'static str,
    },
    /// Any text, such as the name of a folder.
    Text {
        /// Value when not given.
        default: &'static str,
    },
}

impl ParamSpec {
    /// A number within `min..=max`, in `unit`.
    #[must_use]
    pub const fn float(
        name: &'static str,
        unit: &'static str,
        min: f32,
        max: f32,
        default: f32,
        about: &'static str,
    ) -> Self {
        Self { name, ty: ParamType::Float { unit, min, max, default }, about, live: false }
    }

    /// A whole number within `min..=max`, in `unit`.
    #[must_use]
    pub const fn int(
        name: &'static str,
        unit: &'static str,
        min: i64,
        max: i64,
        default: i64,
        about: &'static str,
    ) -> Self {
        Self { name, ty: ParamType::Int { unit, min, max, default }, about, live: false }
    }

    /// A switch.
    #[must_use]
    pub const fn bool(name: &'static str, default: bool, about: &'static str) -> Self {
        Self { name, ty: ParamType::Bool { default }, about, live: false }
    }

    /// One of `allowed`.
    #[must_use]
    pub const fn choice(
        name: &'static str,
        allowed: &'static [&'static str],
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, ty: ParamType::Choice { allowed, default }, about, live: false }
    }

    /// Any text; what it may hold beyond that, the plugin checks when it builds.
    #[must_use]
    pub const fn text(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self { name, ty: ParamType::Text { default }, about, live: false }
    }

    /// The same parameter, which running stages take new values of.
    #[must_use]
    pub const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// The value this parameter has when it is not given. Allocates for a [`ParamType::Text`].
    #[must_use]
    pub fn default_value(&self) -> ParamValue {
        match self.ty {
            ParamType::Float { default, .. } => ParamValue::Float(default),
            ParamType::Int { default, .. } => ParamValue::Int(default),
            ParamType::Bool { default } => ParamValue::Bool(default),
            ParamType::Choice { default, .. } => ParamValue::Choice(default),
            ParamType::Text { default } => ParamValue::Text(default.into()),
        }
    }

    /// Takes `value` if it has the right type and lies in range.
    ///
    /// # Errors
    /// A [`SetParamError`] that says what is allowed.
    pub fn check(&self, value: RawValue<'_>) -> Result<ParamValue, SetParamError> {
        let refuse = || Err(SetParamError { allowed: self.ty.to_string() });
        match (self.ty, value) {
            (ParamType::Float { min, max, .. }, RawValue::Float(v))
                // Compared as what it becomes, so that a written 0.1 is not below a least 0.1.
                if (min..=max).contains(&(v as f32)) =>
            {
                Ok(ParamValue::Float(v as f32))
            }
            (ParamType::Float { .. }, RawValue::Int(v)) => self.check(RawValue::Float(v as f64)),
            (ParamType::Int { min, max, .. }, RawValue::Int(v)) if (min..=max).contains(&v) => {
                Ok(ParamValue::Int(v))
            }
            (ParamType::Bool { .. }, RawValue::Bool(v)) => Ok(ParamValue::Bool(v)),
            (ParamType::Choice { allowed, .. }, RawValue::Text(v)) => {
                match allowed.iter().find(|a| **a == v) {
                    Some(word) => Ok(ParamValue::Choice(word)),
                    None => refuse(),
                }
            }
            (ParamType::Text { .. }, RawValue::Text(v)) => Ok(ParamValue::Text(v.into())),
            _ => refuse(),
        }
    }
}

/// What is allowed, in words: `a number from 20 to 1000 Hz`.
impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_unit = |f: &mut fmt::Formatter<'_>, unit: &str| {
            if unit.is_empty() { Ok(()) } else { write!(f, " {unit}") }
        };
        match self {
            Self::Float { unit, min, max, .. } => {
                write!(f, "a number from {min} to {max}")?;
                with_unit(f, unit)
            }
            Self::Int { unit, min, max, .. } => {
                write!(f, "a whole number from {min} to {max}")?;
                with_unit(f, unit)
            }
            Self::Bool { .. } => f.write_str("true or false"),
            Self::Choice { allowed, .. } => {
                for (i, word) in allowed.iter().enumerate() {
                    let join = match i {
                        0 => "",
                        _ if i + 1 == allowed.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{join}\"{word}\"")?;
                }
                Ok(())
            }
            Self::Text { .. } => f.write_str("text"),
        }
    }
}

/// A value as the operator wrote it, before it is checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
    /// A number with a fraction.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A switch.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Anything else (a list, a table, a date): fits no parameter.
    Other,
}

/// A checked value. Cheap to clone: never allocates.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// Of a [`ParamType::Float`].
    Float(f32),
    /// Of a [`ParamType::Int`].
    Int(i64),
    /// Of a [`ParamType::Bool`].
    Bool(bool),
    /// Of a [`ParamType::Choice`].
    Choice(&'static str),
    /// Of a [`ParamType::Text`].
    Text(Arc<str>),
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Choice(v) => write!(f, "\"{v}\""),
            Self::Text(v) => write!(f, "{v:?}"),
        }
    }
}

/// A value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetParamError {
    /// What would have been, in words.
    pub allowed: String,
}

/// The checked values of one stage's parameters; those not given hold their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    values: Vec<(&'static str, ParamValue)>,
}

impl Params {
    /// Every parameter of `specs` at its default.
    #[must_use]
    pub fn defaults(specs: &[ParamSpec]) -> Self {
        Self { values: specs.iter().map(|s| (s.name, s.default_value())).collect() }
    }

    /// Checks `value` against `spec` and keeps it.
    ///
    /// # Errors
    /// As [`ParamSpec::check`]; the former value stays.
    pub fn set(&mut self, spec: &ParamSpec, value: RawValue<'_>) -> Result<(), SetParamError> {
        let value = spec.check(value)?;
        match self.values.iter_mut().find(|(name, _)| *name == spec.name) {
            Some((_, slot)) => *slot = value,
            None => self.values.push((spec.name, value)),
        }
        Ok(())
    }

    /// Names and values in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &ParamValue)> + '_ {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// The value of a number parameter.
    ///
    /// # Panics
    /// If `spec` is not a [`ParamType::Float`] (a bug in the plugin).
    #[must_use]
    pub fn float(&self, spec: &ParamSpec) -> f32 {
        match self.value(spec) {
            ParamValue::Float(v) => v,
            other => panic!("`{}` is {other:?}, not a number", spec.name),
        }
    }

    /// The value of a whole-number parameter.
    ///
    /// # Panics
    /// If `spec` is not a [`ParamType::Int`] (a bug in the plugin).
    #[must_use]
    pub fn int(&self, spec: &ParamSpec) -> i64 {
        match self.value(spec) {
            ParamValue::Int(v) => v,
            other => panic!("`{}` is {other:?}, not a whole number", spec.name),
        }
    }

    /// The value of a switch.
    ///
    /// # Panics
    /// If `spec` is not a [`ParamType::Bool`] (a bug in the plugin).
    #[must_use]
    pub fn bool(&self, spec: &ParamSpec) -> bool {
        match self.value(spec) {
            ParamValue::Bool(v) => v,
            other => panic!("`{}` is {other:?}, not a switch", spec.name),
        }
    }

    /// The word chosen.
    ///
    /// # Panics
    /// If `spec` is not a [`ParamType::Choice`] (a bug in the plugin).
    #[must_use]
    pub fn choice(&self, spec: &ParamSpec) -> &'static str {
        match self.value(spec) {
            ParamValue::Choice(v) => v,
            other => panic!("`{}` is {other:?}, not a word", spec.name),
        }
    }

    /// The text given.
    ///
    /// # Panics
    /// If `spec` is not a [`ParamType::Text`] (a bug in the plugin).
    #[must_use]
    pub fn text(&self, spec: &ParamSpec) -> Arc<str> {
        match self.value(spec) {
            ParamValue::Text(v) => v,
            other => panic!("`{}` is {other:?}, not text", spec.name),
        }
    }

    fn value(&self, spec: &ParamSpec) -> ParamValue {
        let given = self.values.iter().find(|(name, _)| *name == spec.name);
        given.map_or_else(|| spec.default_value(), |(_, value)| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUTOFF: ParamSpec = ParamSpec::float("cutoff_hz", "Hz", 20.0, 1000.0, 80.0, "Corner.");
    const LEVEL: ParamSpec =
        ParamSpec::choice("level", &["low", "mid", "high"], "mid", "How much.");
    const FOLDER: ParamSpec = ParamSpec::text("folder", "recordings", "Where it goes.");

    #[test]
    fn a_value_out_of_range_is_refused_with_what_is_allowed_and_changes_nothing() {
        let mut params = Params::defaults(&[CUTOFF]);
        let refused = params.set(&CUTOFF, RawValue::Float(5.0)).expect_err("5 Hz is too low");
        assert_eq!(refused.allowed, "a number from 20 to 1000 Hz");
        assert_eq!(params.float(&CUTOFF), 80.0);
    }

    #[test]
    fn not_a_number_is_out_of_every_range() {
        assert!(CUTOFF.check(RawValue::Float(f64::NAN)).is_err());
        assert!(CUTOFF.check(RawValue::Float(f64::INFINITY)).is_err());
    }

    #[test]
    fn a_whole_number_is_taken_where_a_number_is_asked_for() {
        assert_eq!(CUTOFF.check(RawValue::Int(100)), Ok(ParamValue::Float(100.0)));
    }

    #[test]
    fn text_is_never_taken_for_a_number() {
        assert!(CUTOFF.check(RawValue::Text("100")).is_err());
    }

    #[test]
    fn a_word_that_is_not_allowed_is_refused_with_those_that_are() {
        let refused = LEVEL.check(RawValue::Text("max")).expect_err("no such word");
        assert_eq!(refused.allowed, "\"low\", \"mid\" or \"high\"");
    }

    #[test]
    fn text_is_taken_as_it_stands_and_has_its_default() {
        let mut params = Params::defaults(&[FOLDER]);
        assert_eq!(&*params.text(&FOLDER), "recordings");
        params.set(&FOLDER, RawValue::Text("/tmp/two words")).expect("any text will do");
        assert_eq!(&*params.text(&FOLDER), "/tmp/two words");
    }

    #[test]
    fn a_number_is_never_taken_for_text() {
        let refused = FOLDER.check(RawValue::Int(7)).expect_err("no text");
        assert_eq!(refused.allowed, "text");
    }

    #[test]
    fn text_is_shown_as_it_would_be_written() {
        let shown = FOLDER.check(RawValue::Text("a \"b\"")).map(|value| value.to_string());
        assert_eq!(shown.as_deref(), Ok("\"a \\\"b\\\"\""));
    }
}
