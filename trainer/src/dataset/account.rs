//! What happened to rows, entities and pictures on their way into a dataset folder: counted and named.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Examples that are given of each matter.
const EXAMPLES: usize = 3;

/// Matters by what they are.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Account(BTreeMap<&'static str, Matter>);

/// Something that happened, how often, and to what.
#[derive(Debug, Default, Serialize)]
struct Matter {
    n: usize,
    examples: Vec<String>,
}

impl Account {
    /// Counts something.
    pub(crate) fn matter(&mut self, what: &'static str, example: &str) {
        let matter = self.0.entry(what).or_default();
        matter.n += 1;
        if matter.examples.len() < EXAMPLES {
            matter.examples.push(example.to_owned());
        }
    }

    /// All matters on the line of an error.
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
