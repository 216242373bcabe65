//! How code is written: documentation, lengths of files, what the model crate may reach, and where texts are.

use proc_macro2::{TokenStream, TokenTree};

use crate::syntax::Source;

/// Maximum number of lines per file, tests aside.
const MAX_LINES: usize = 450;

/// Lines of documentation that begin with a bare genitive, such as `Of the parts.`
pub(crate) fn genitives(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let documentation = ["///", "//!"]
            .iter()
            .find_map(|marker| line.trim_start().strip_prefix(marker));
        if documentation.is_some_and(|line| line.starts_with(" Of ")) {
            found.push(format!("{file}:{number}: {}", line.trim()));
        }
    }
    found
}

/// Functions with the name `forward` whose documentation does not list the shapes.
pub(crate) fn forwards_without_shapes(file: &str, text: &str) -> Vec<String> {
    let functions = Source::parse(file, text).functions;
    let forwards = functions.iter().filter(|(name, _)| name == "forward");
    forwards
        .filter(|(_, documentation)| !documentation.contains("# Shapes"))
        .map(|(name, _)| format!("{file}: {name}"))
        .collect()
}

/// Modules of the standard library that a source imports or names although they reach the outside.
pub(crate) fn impurities(file: &str, text: &str) -> Vec<String> {
    const OUTSIDE: [&str; 6] = ["env", "fs", "net", "process", "thread", "time"];
    let source = Source::parse(file, text);
    let imports = source.imports.iter().map(|import| &import.path);
    imports
        .chain(&source.paths)
        .filter(|path| match &path.parts[..] {
            // `use std as s`, `use std::*`
            [only] => only == "std",
            [first, second, ..] => first == "std" && OUTSIDE.contains(&second.as_str()),
            [] => false,
        })
        .map(|path| format!("{file}: {}", path.parts.join("::")))
        .collect()
}

/// A complaint about a file that is too long.
pub(crate) fn length_fault(file: &str, text: &str) -> Option<String> {
    let lines = Source::parse(file, text).lines;
    (lines > MAX_LINES).then(|| format!("{file} has {lines} lines without its tests"))
}

/// String literals that look like words for a visitor, test code aside.
pub(crate) fn texts(file: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let tokens: Result<TokenStream, _> = code.parse();
    let tokens = tokens.unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut found = Vec::new();
    add_texts(tokens, &mut found);
    found.iter().map(|text| format!("{file}:{text}")).collect()
}

fn add_texts(tokens: TokenStream, found: &mut Vec<String>) {
    let mut before = [String::new(), String::new()];
    for token in tokens {
        match (&token, [&before[0][..], &before[1][..]]) {
            // Attributes, documentation included, and panics.
            (TokenTree::Group(_), [_, "#" | "expect"] | ["#" | "panic" | "unreachable", "!"]) => {}
            (TokenTree::Group(group), _) => add_texts(group.stream(), found),
            (TokenTree::Literal(_), ["class", "="]) => {}
            (TokenTree::Literal(literal), _) if is_text(&literal.to_string()) => {
                found.push(format!("{}: {literal}", literal.span().start().line));
            }
            _ => {}
        }
        let [_, last] = before;
        before = [last, token.to_string()];
    }
}

/// Whether a literal is a string with a letter beside a space, or with a capital at its start.
fn is_text(literal: &str) -> bool {
    /// Keys, and a kind of what is dragged.
    const OF_BROWSERS: [&str; 3] = ["Control+Enter", "Enter", "Files"];
    let Some(text) = literal.strip_prefix('"') else {
        return false;
    };
    let text = text.trim_end_matches('"');
    if OF_BROWSERS.contains(&text) || text.starts_with("color-mix(") {
        return false;
    }
    // Without what `format!` fills in.
    let words = text.split('{').map(|part| match part.split_once('}') {
        Some((_, rest)) => rest,
        None => part,
    });
    let words: Vec<char> = words.collect::<String>().chars().collect();
    let is_spaced = words.windows(2).any(|pair| {
        let [a, b] = [pair[0], pair[1]];
        a == ' ' && b.is_alphabetic() || a.is_alphabetic() && b == ' '
    });
    is_spaced || words.first().is_some_and(char::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_genitive_is_found() {
        let of = "Of the";
        for text in [
            format!("/// {of} parts.\nstruct A;"),
            format!("struct A {{\n    /// {of} stage, now.\n    a: u8,\n}}"),
            format!("//! {of} crate.\n"),
        ] {
            assert_eq!(genitives("a.rs", &text).len(), 1, "{text}");
        }
        for text in [
            "/// Number of parts.\n",
            "// Of the parts.\n",
            "/// Often.\n",
        ] {
            assert_eq!(genitives("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_forward_needs_its_shapes() {
        for text in [
            "impl A { pub fn forward(&self) {} }",
            "impl A {\n/// Encodes.\n#[inline]\npub fn forward(&self) {} }",
            "/// # Panics\npub fn forward() {}",
            "mod inner { trait A { fn forward(&self); } }",
        ] {
            assert_eq!(
                forwards_without_shapes("a.rs", text),
                ["a.rs: forward"],
                "{text}"
            );
        }
        for text in [
            "impl A {\n/// Encodes.\n///\n/// # Shapes\n///\n/// - a: `[b]`\npub fn forward(&self) {} }",
            "fn backward() {} // fn forward() {}",
            "#[cfg(test)] mod tests { fn forward() {} }",
        ] {
            assert_eq!(forwards_without_shapes("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_impurity_is_found_in_every_form() {
        for text in [
            "use std::fs;",
            "use std::{collections::HashMap, fs};",
            "use std::{fs::{self, File}, io};",
            "use std::time::Instant as Clock;",
            "fn a() { std::thread::yield_now() }",
            "fn a() { dbg(format!(\"{:?}\", std::env::args())) }",
            "mod inner { use std::{net as n}; }",
            "use std as s;",
            "use std::*;",
        ] {
            assert!(!impurities("a.rs", text).is_empty(), "{text}");
        }
        for text in [
            "use std::{collections::HashMap, io};",
            "use crate::time; use other::fs;",
            "#[cfg(test)] mod tests { use std::fs; }",
        ] {
            assert_eq!(impurities("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_is() {
        for text in [
            r#"fn a() { view! { <button on:click=b>"Post"</button> } }"#,
            r#"fn a() { view! { <p class="quiet" aria-label="link it"></p> } }"#,
            r#"fn a() { view! { <p>{format!("{n} posts")}</p> } }"#,
            r#"const A: [&str; 1] = ["of {n}"];"#,
        ] {
            assert_eq!(texts("a.rs", text).len(), 1, "{text}");
        }
        for text in [
            r#"//! The page.
/// Says "Link the selection".
#[expect(unused, reason = "of the macro")]
fn a() {}"#,
            r#"fn a() { view! { <p class="card own" data-testid="own">{wording::POST}" "</p> } }"#,
            r#"fn a() { b.expect("it is there"); panic!("Not there: {b}"); }"#,
            r#"fn a() -> bool { event.key() == "Enter" || format!("{a}: {b} {c}") == b }"#,
            r#"fn a() {} #[cfg(test)] mod tests { const A: &str = "Post"; }"#,
        ] {
            assert_eq!(texts("a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn tests_do_not_count_as_lines() {
        let long = |n: usize| "const A: u8 = 0;\n".repeat(n);
        let tests = |n: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", long(n));
        for (text, faults) in [
            (long(450), false),
            (long(451), true),
            (long(450) + &tests(100), false),
            (long(451) + &tests(1), true),
            (tests(600), false),
        ] {
            let fault = length_fault("a.rs", &text);
            assert_eq!(fault.is_some(), faults, "{fault:?}");
        }
    }
}
