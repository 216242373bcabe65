//! Names of foreign tensors to ours, by tables of substitutions.

use anyhow::ensure;

use crate::weights::state_dict::StateDict;

/// Counters, buffers and heads that no encoder here has.
const IGNORED: &[&str] = &["num_batches_tracked", "position_ids", "pooler.", "cls."];

/// Renames every tensor, leaves out those that no encoder has, and refuses one that holds NaN or an infinity.
pub(super) fn renamed(state: StateDict, table: &[(&str, &str)]) -> anyhow::Result<StateDict> {
    state
        .into_iter()
        .filter(|(name, _)| !IGNORED.iter().any(|ignored| name.contains(ignored)))
        .map(|(name, tensor)| {
            ensure!(
                tensor.values.iter().all(|value| value.is_finite()),
                "{name} holds a value that is not a finite number: the checkpoint is damaged"
            );
            Ok((rename(&name, table), tensor))
        })
        .collect()
}

/// Applies all substitutions to a name, in order.
pub(super) fn rename(name: &str, table: &[(&str, &str)]) -> String {
    table.iter().fold(name.to_owned(), |name, (from, to)| {
        substitute(&name, from, to)
    })
}

/// Replaces the first `from` by `to`.
///
/// `^` at the start of `from` anchors it to the start of the name. `#` in both is a number; `#+` and `#-` in `to` are one more and one less.
fn substitute(name: &str, from: &str, to: &str) -> String {
    let (anchored, from) = from
        .strip_prefix('^')
        .map_or((false, from), |from| (true, from));
    let (before, after) = from.split_once('#').unwrap_or((from, ""));
    let (head, rest) = match name.split_once(before) {
        Some((head, rest)) if head.is_empty() || !anchored => (head, rest),
        _ => return name.to_owned(),
    };
    if before == from {
        return format!("{head}{to}{rest}");
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (Ok(number), Some(tail)) = (
        rest[..digits].parse::<i64>(),
        rest[digits..].strip_prefix(after),
    ) else {
        return name.to_owned();
    };
    let to = to
        .replace("#+", &(number + 1).to_string())
        .replace("#-", &(number - 1).to_string());
    format!("{head}{}{tail}", to.replace('#', &number.to_string()))
}
