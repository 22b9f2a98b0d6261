//! Chains and kinds as plain text, for the command line.

use std::fmt::Write;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, MixSpec, Registry, StageSpec};
use foldback_stage::{ParamSpec, SAMPLE_RATE_HZ, StageFormat};

use crate::chains;

/// Columns that a line of text may take.
const WIDTH: usize = 96;

/// A chain from top to bottom: each stage with its algorithmic delay and its parameters, and the
/// sum of the delays. Ends with a line end.
///
/// Builds the stages to ask them: control side only, may allocate, may take milliseconds.
#[must_use]
pub fn describe_chain(chain: &ChainSpec) -> String {
    let mut rows = Vec::new();
    let mut sum_samples = 0;
    add_stages(&mut rows, &mut sum_samples, &chain.input, chain.format);
    if let Some(MixSpec { max_talkers }) = chain.mix {
        let params = format!("{} = {max_talkers}", MixSpec::MAX_TALKERS.name);
        rows.push(Row { delay: String::new(), title: MIX_KIND.to_owned(), params });
        add_stages(&mut rows, &mut sum_samples, &chain.output, chain.format);
    }
    let title_width = rows.iter().map(|row| row.title.chars().count()).max().unwrap_or(0);
    let stereo = if chain.format == StageFormat::STEREO { ", stereo" } else { "" };
    let mut text = format!("chain {}{stereo}\n", chain.name);
    for Row { delay, title, params } in rows {
        let row = format!("  {delay:>9}  {title:title_width$}  ");
        let indent = row.chars().count();
        write_wrapped(&mut text, &row, indent, &params);
    }
    let _ = writeln!(text, "  {:>9}  algorithmic delay in all", milliseconds(sum_samples));
    text
}

struct Row {
    delay: String,
    title: String,
    params: String,
}

fn add_stages(
    rows: &mut Vec<Row>,
    sum_samples: &mut usize,
    stages: &[StageSpec],
    format: StageFormat,
) {
    for spec in stages {
        let built = Chain::build(std::slice::from_ref(spec), format);
        let samples = built.as_ref().map(Chain::delay_samples);
        *sum_samples += samples.as_ref().copied().unwrap_or_default();
        let title = match spec.name == spec.kind.name {
            true => spec.name.clone(),
            false => format!("{} ({})", spec.name, spec.kind.name),
        };
        let (delay, params) = match samples {
            Ok(samples) if spec.enabled => (milliseconds(samples), shown(spec)),
            Ok(samples) => (milliseconds(samples), "switched off".to_owned()),
            Err(error) => ("?".to_owned(), format!("cannot be built: {}", error.reason)),
        };
        rows.push(Row { delay, title, params });
    }
}

fn milliseconds(samples: usize) -> String {
    format!("{:.2} ms", samples as f64 * 1000.0 / f64::from(SAMPLE_RATE_HZ))
}

fn shown(spec: &StageSpec) -> String {
    let params = spec.params.iter().map(|(name, value)| format!("{name} = {value}"));
    let optional = spec.optional.then(|| format!("{} = true", chains::OPTIONAL.name));
    params.chain(optional).collect::<Vec<_>>().join(", ")
}

/// Every kind of stage, `mix` too, with its parameters, their units, ranges and defaults. Ends
/// with a line end.
#[must_use]
pub fn describe_kinds(registry: &Registry) -> String {
    let mut text = String::new();
    for kind in registry.kinds() {
        describe_kind(&mut text, kind.name, kind.about, kind.params);
        text.push('\n');
    }
    describe_kind(&mut text, MIX_KIND, MixSpec::ABOUT, MixSpec::PARAMS);
    text
}

fn describe_kind(text: &mut String, name: &str, about: &str, params: &[ParamSpec]) {
    let _ = writeln!(text, "{name}");
    write_wrapped(text, "  ", 2, about);
    for spec in params {
        let live = if spec.live { "; changes while it runs" } else { "" };
        let ParamSpec { name, ty, about, .. } = spec;
        let default = spec.default_value();
        write_wrapped(text, "    ", 8, &format!("{name}: {ty}, by default {default}{live}"));
        write_wrapped(text, "        ", 8, about);
    }
}

/// Writes `start` and `words`, with `indent` before every line after the first.
fn write_wrapped(text: &mut String, start: &str, indent: usize, words: &str) {
    let mut line = start.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests;
