//! Walking a TOML document without stopping at the first mistake.

use std::ops::Range;
use std::path::Path;

use foldback_stage::{ParamSpec, ParamType, Params, RawValue};
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use crate::error::{self, ConfigErrors, Mistake};
use crate::{names, syntax};

/// A key as it stands in the document.
pub(crate) type Key<'t> = Spanned<DeString<'t>>;
/// A value as it stands in the document.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// The text being read and the mistakes found so far.
pub(crate) struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    /// The document, if it is TOML.
    pub(crate) fn document(&mut self) -> Option<DeTable<'t>> {
        let document = syntax::parse(self.text);
        document.map_err(|mistakes| self.mistakes.extend(mistakes)).ok()
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// How many mistakes there are so far: to see whether a part was free of them.
    pub(crate) fn mistakes(&self) -> usize {
        self.mistakes.len()
    }

    pub(crate) fn into_errors(self, file: &str) -> Option<ConfigErrors> {
        error::locate(self.mistakes, self.text, file)
    }

    /// The mistakes without their places, help included.
    pub(crate) fn into_sentences(self) -> impl Iterator<Item = String> {
        self.mistakes.into_iter().map(|mistake| mistake.to_string())
    }

    /// The line, from 1, of a byte of the text.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        error::line_of(self.text, offset)
    }

    /// Notes a mistake at `span`.
    pub(crate) fn refuse(
        &mut self,
        span: Range<usize>,
        found: impl Into<String>,
        allowed: impl Into<String>,
        help: Option<String>,
    ) {
        let (found, allowed) = (found.into(), Some(allowed.into()));
        self.mistakes.push(Mistake { span, found, allowed, help });
    }

    /// Notes a mistake whose one sentence says it all.
    pub(crate) fn refuse_plainly(&mut self, span: Range<usize>, found: impl Into<String>) {
        self.mistakes.push(Mistake { span, found: found.into(), allowed: None, help: None });
    }

    /// What the file holds that `key` names, from the folder of `file`, and how it is called in messages.
    pub(crate) fn file(
        &mut self,
        key: &str,
        value: &Value<'_>,
        file: &str,
    ) -> Option<(String, String)> {
        let path = self.text(key, value, "must be a path")?;
        let path = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
        let shown = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Some((shown, text)),
            Err(error) => {
                self.refuse_plainly(value.span(), format!("{shown} cannot be read: {error}"));
                None
            }
        }
    }

    /// Notes that `key` holds `value`, which is not `allowed`.
    pub(crate) fn refuse_value(
        &mut self,
        key: &str,
        value: &Value<'_>,
        allowed: impl Into<String>,
        help: Option<String>,
    ) {
        let found = format!("`{key}` is {}", self.shown(value));
        self.refuse(value.span(), found, allowed, help);
    }

    /// Notes every key of `table` that is not in `allowed`.
    pub(crate) fn known_keys(&mut self, what: &str, table: &DeTable<'_>, allowed: &[&str]) {
        for (key, _) in in_order(table) {
            let name: &str = key.get_ref();
            if !allowed.contains(&name) {
                let (found, allowed, help) =
                    names::unknown_key(what, name, allowed.iter().copied());
                self.refuse(key.span(), found, allowed, help);
            }
        }
    }

    /// Checks what `table` says of each of `specs`; what it does not say has its default.
    pub(crate) fn params(&mut self, table: &DeTable<'_>, specs: &[ParamSpec]) -> Params {
        self.params_over(Params::defaults(specs), table, specs)
    }

    /// Checks what `table` says of each of `specs`, and leaves out what it does not say.
    pub(crate) fn given(&mut self, table: &DeTable<'_>, specs: &[ParamSpec]) -> Params {
        self.params_over(Params::default(), table, specs)
    }

    fn params_over(
        &mut self,
        mut params: Params,
        table: &DeTable<'_>,
        specs: &[ParamSpec],
    ) -> Params {
        for spec in specs {
            let Some(value) = table.get(spec.name) else { continue };
            if let Err((allowed, help)) = set_param(&mut params, spec, raw(value.get_ref())) {
                self.refuse_value(spec.name, value, allowed, help);
            }
        }
        params
    }

    /// The text of `value`, which `key` holds.
    pub(crate) fn text<'v>(
        &mut self,
        key: &str,
        value: &'v Value<'_>,
        allowed: &str,
    ) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.refuse_value(key, value, allowed, None);
        }
        text
    }

    /// The list that `key` holds.
    pub(crate) fn list<'v, 'd>(
        &mut self,
        key: &str,
        value: &'v Value<'d>,
        allowed: &str,
    ) -> Option<&'v DeArray<'d>> {
        let list = value.get_ref().as_array();
        if list.is_none() {
            self.refuse_value(key, value, allowed, None);
        }
        list
    }

    /// The section `[key]` of the document; empty if it is not there or no section.
    pub(crate) fn section<'v, 'd>(
        &mut self,
        root: &'v DeTable<'d>,
        key: &str,
    ) -> Option<&'v DeTable<'d>> {
        let value = root.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.refuse_value(key, value, format!("must be a section `[{key}]`"), None);
        }
        table
    }

    /// A value as the file has it, as far as it fits into a message.
    pub(crate) fn shown(&self, value: &Value<'_>) -> String {
        const MAX_BYTES: usize = 60;
        let source = self.text.get(value.span()).unwrap_or_default();
        let short = source.len() <= MAX_BYTES && !source.contains(char::is_control);
        match value.get_ref() {
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                "a list of tables".to_owned()
            }
            _ if short => source.to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::String(text) => {
                let start: String = text.chars().take(MAX_BYTES / 2).collect();
                format!("{:?}...", start)
            }
            _ => "a long number".to_owned(),
        }
    }
}

/// Checks `value` against `spec` and keeps it.
///
/// # Errors
/// What is allowed instead, and the word that was probably meant; the former value stays.
pub(crate) fn set_param(
    params: &mut Params,
    spec: &ParamSpec,
    value: RawValue<'_>,
) -> Result<(), (String, Option<String>)> {
    params.set(spec, value).map_err(|refused| {
        let help = match (spec.ty, value) {
            (ParamType::Choice { allowed, .. }, RawValue::Text(text)) => {
                names::did_you_mean(text, allowed.iter().copied(), '"')
            }
            _ => None,
        };
        (format!("must be {}", refused.allowed), help)
    })
}

/// The entries of a table in the order of the file.
pub(crate) fn in_order<'v, 'd>(table: &'v DeTable<'d>) -> Vec<(&'v Key<'d>, &'v Value<'d>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn raw<'v>(value: &'v DeValue<'_>) -> RawValue<'v> {
    match value {
        DeValue::String(text) => RawValue::Text(text),
        DeValue::Boolean(switch) => RawValue::Bool(*switch),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(RawValue::Other, RawValue::Int)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(RawValue::Other, RawValue::Float),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => RawValue::Other,
    }
}
