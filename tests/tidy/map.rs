//! Whether ARCHITECTURE.md has a row for each module.

/// Source files of a crate, paths below its `src`, that no row of its section names in its first cell.
///
/// The file `a/b.rs` is named by `a::b` in backticks, or by `b` in a cell that also has `a`.
pub(crate) fn unmapped<'a>(map: &str, name: &str, files: &'a [String]) -> Vec<&'a str> {
    let rows = rows(map, name);
    let is_named = |module: &str| {
        rows.iter().any(|row| {
            let has = |name: &str| row.iter().any(|named| named == name);
            match module.rsplit_once("::") {
                Some((parent, stem)) => has(module) || (has(stem) && has(parent)),
                None => has(module),
            }
        })
    };
    files
        .iter()
        .map(String::as_str)
        .filter(|file| module(file).is_some_and(|module| !is_named(&module)))
        .collect()
}

/// The module of a source file; `None` for a crate's root and for tests.
fn module(file: &str) -> Option<String> {
    let path = file.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let stem = path.rsplit('/').next()?;
    (!["lib", "main", "tests"].contains(&stem)).then(|| path.replace('/', "::"))
}

/// The names in backticks in the first cell of each table row of a section, whose heading begins with `name`.
fn rows(map: &str, name: &str) -> Vec<Vec<String>> {
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let mut section = 0;
    let mut rows = Vec::new();
    for line in map.lines() {
        match level(line) {
            0 => {}
            level if section > 0 && level <= section => section = 0,
            _ => {}
        }
        let mut title = line.trim_start_matches('#').split([' ', ':', '`', ',']);
        if level(line) > 0 && title.find(|word| !word.is_empty()) == Some(name) {
            section = level(line);
        }
        if section > 0
            && let Some(row) = line.trim_start().strip_prefix('|')
            && let Some((cell, _)) = row.split_once('|')
        {
            let quoted = cell.split('`').skip(1).step_by(2);
            let names = quoted.map(|name| name.trim_end_matches(".rs").replace('/', "::"));
            rows.push(names.collect());
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::unmapped;

    const MAP: &str = "# Map\n\n`stray` and `lost` are words.\n\n## Crates\n\n### `model`: pure\n\n\
        | module | content |\n|---|---|\n| `data` | posts, not `tensors` |\n| `text` (`bert`) | `glove` |\n\
        | `vision/detr` | boxes |\n\n### tool\n\n| module | content |\n|---|---|\n| `post` | |\n\n## Rules\n\n| `rule` | |\n";

    #[track_caller]
    fn check(name: &str, files: &[&str], expected: &[&str]) {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        assert_eq!(unmapped(MAP, name, &files), expected);
    }

    #[test]
    fn a_module_needs_a_row_of_its_crate() {
        let files = [
            "lib.rs",
            "data.rs",
            "text/mod.rs",
            "text/bert.rs",
            "vision/detr.rs",
        ];
        check("model", &files, &[]);
        check("tool", &["main.rs", "post.rs", "post/tests.rs"], &[]);
        // In prose, in another cell, in another crate's rows, after all crates, below another parent.
        check("model", &["stray.rs", "lost.rs"], &["stray.rs", "lost.rs"]);
        check(
            "model",
            &["tensors.rs", "text/glove.rs"],
            &["tensors.rs", "text/glove.rs"],
        );
        check("model", &["post.rs", "rule.rs"], &["post.rs", "rule.rs"]);
        check("tool", &["data.rs", "rule.rs"], &["data.rs", "rule.rs"]);
        check(
            "model",
            &["image/bert.rs", "image/mod.rs"],
            &["image/bert.rs", "image/mod.rs"],
        );
        check("none", &["post.rs"], &["post.rs"]);
    }
}
