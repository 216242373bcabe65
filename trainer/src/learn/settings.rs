//! The settings file of a run: what its result depends on.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::files;

/// Writes the settings of a new run; those of a resumed run must be the same as in the file.
///
/// # Errors
///
/// A setting that differs, by its name, with both values.
pub(crate) fn save_or_verify(
    path: &Path,
    settings: &impl Serialize,
    resume: bool,
) -> anyhow::Result<()> {
    if !(resume && path.exists()) {
        return files::write(path, toml::to_string(settings)?.as_bytes());
    }
    let shown = path.display();
    let text = String::from_utf8(files::read(path)?).with_context(|| shown.to_string())?;
    let saved: toml::Table =
        toml::from_str(&text).with_context(|| format!("{shown} is malformed"))?;
    let current = toml::Table::try_from(settings)?;
    let absent = toml::Value::from("absent");
    let names = saved.keys().chain(current.keys());
    for name in names {
        let [saved, current] = [&saved, &current].map(|table| table.get(name).unwrap_or(&absent));
        if saved != current {
            bail!(
                "{shown}: the run was begun with other settings: {name} is {saved} there and {current} now; \
                 resume it with the same, or begin another"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Settings {
        seed: u64,
        plain: bool,
        rate: f64,
    }

    const SETTINGS: Settings = Settings {
        seed: 3,
        plain: false,
        rate: 1e-4,
    };

    #[track_caller]
    fn check(changed: &Settings, said: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        save_or_verify(&path, &SETTINGS, true).unwrap();
        save_or_verify(&path, &SETTINGS, true).unwrap();
        let error = format!("{:#}", save_or_verify(&path, changed, true).unwrap_err());
        assert!(error.contains(said), "{error}");
        save_or_verify(&path, changed, false).unwrap();
        save_or_verify(&path, changed, true).unwrap();
    }

    #[test]
    fn a_resumed_run_has_the_settings_that_it_was_begun_with() {
        check(
            &Settings {
                seed: 4,
                ..SETTINGS
            },
            "seed is 3 there and 4 now",
        );
        check(
            &Settings {
                plain: true,
                ..SETTINGS
            },
            "plain is false there and true now",
        );
        check(
            &Settings {
                rate: 2e-4,
                ..SETTINGS
            },
            "rate is 0.0001 there and 0.0002 now",
        );
    }
}
