//! Repairs and omissions on the way into a dataset folder, counted, with examples.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Examples kept per kind.
const EXAMPLES: usize = 3;

/// Counts of repaired and dropped rows, entities and pictures, by kind.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Account(BTreeMap<&'static str, Matter>);

/// How often something happened, and the first rows that it happened to.
#[derive(Debug, Default, Serialize)]
struct Matter {
    n: usize,
    examples: Vec<String>,
}

impl Account {
    /// Counts one case of `what`.
    pub(crate) fn matter(&mut self, what: &'static str, example: &str) {
        let matter = self.0.entry(what).or_default();
        matter.n += 1;
        if matter.examples.len() < EXAMPLES {
            matter.examples.push(example.to_owned());
        }
    }

    /// All counts on one line, for the end of an error message.
    pub(crate) fn in_short(&self) -> String {
        self.0
            .iter()
            .map(|(what, matter)| format!("; {what}: {}", matter.n))
            .collect()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, matter) in &self.0 {
            let more = if matter.n > EXAMPLES { ", ..." } else { "" };
            let examples = matter.examples.join(", ");
            writeln!(f, "{} x {what}: {examples}{more}", matter.n)?;
        }
        Ok(())
    }
}
