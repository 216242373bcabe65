//! URLs, e-mail addresses and user handles in a text: a name inside one of them is no mention.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};

use crate::normalise::is_invisible;

/// Endings of a domain written without a scheme, beside the two letters of a country.
const TOP_LEVEL_DOMAINS: [&str; 20] = [
    "app", "biz", "blog", "cloud", "com", "dev", "edu", "gov", "info", "int", "mil", "net", "news",
    "online", "org", "shop", "site", "store", "tech", "xyz",
];
/// A run of more bytes without white space is not searched for domains without a scheme, which takes time quadratic in its length.
const MAX_DOMAIN_BYTES: usize = 2048;

/// Byte ranges of the addresses in `text`, in no particular order; some may overlap. A handle's range begins after its `@`.
pub(crate) fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut addresses = handles(text);
    let links = LinkFinder::new();
    addresses.extend(links.links(text).map(|link| link.start()..link.end()));
    let mut domains = LinkFinder::new();
    domains
        .kinds(&[LinkKind::Url])
        .url_must_have_scheme(false)
        .url_can_be_iri(false);
    let mut start = 0;
    for run in text.split_inclusive(char::is_whitespace) {
        if run.len() <= MAX_DOMAIN_BYTES {
            let found = domains.links(run).filter(|link| is_domain(link.as_str()));
            addresses.extend(found.map(|link| start + link.start()..start + link.end()));
        }
        start += run.len();
    }
    for address in &mut addresses {
        let visible = text[address.clone()].trim_start_matches(is_invisible);
        address.start = address.end - visible.len();
        address.end = address.start + visible.trim_end_matches(is_invisible).len();
    }
    addresses
}

/// Words of two letters that follow a full stop without a space more often than they end a domain.
const WORDS: [&str; 17] = [
    "am", "as", "at", "be", "by", "do", "he", "if", "in", "is", "it", "me", "my", "no", "so", "to",
    "we",
];

/// Whether `jaguar.com/cars` is a domain with or without a path, and not the end of one sentence and the start of another, such as `nice.Turkey`.
fn is_domain(link: &str) -> bool {
    let host = link.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let (_, ending) = host.rsplit_once('.').unwrap_or_default();
    let is_lowercase = ending.chars().all(|c| c.is_ascii_lowercase());
    let has_path = link.len() > host.len();
    host.starts_with("www.")
        || TOP_LEVEL_DOMAINS.contains(&ending.to_ascii_lowercase().as_str())
        || is_lowercase && (has_path || ending.len() == 2 && !WORDS.contains(&ending))
}

/// Handles such as `@jaguar_fan` and `@jaguar@example.social`, without the first `@`.
fn handles(text: &str) -> Vec<Range<usize>> {
    let is_part =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@') || is_invisible(c);
    let mut handles = Vec::new();
    let mut start = 0;
    while let Some(at) = text[start..].find(['@', '＠']) {
        let before = &text[..start + at];
        start += at;
        start += text[start..].chars().next().map_or(0, char::len_utf8);
        if !before.ends_with(char::is_alphanumeric) {
            let rest = &text[start..];
            let handle = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
            let end = |c: char| !c.is_alphanumeric() && c != '_';
            handles.push(start..start + handle.trim_end_matches(end).len());
            start += handle.len();
        }
    }
    handles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut found = addresses(text);
        found.sort_by_key(|address| (address.start, address.end));
        found.dedup();
        let found: Vec<&str> = found.into_iter().map(|address| &text[address]).collect();
        assert_eq!(found, expected, "in {text:?}");
    }

    #[test]
    fn urls_are_addresses() {
        check(
            "see (https://en.wikipedia.org/wiki/Jaguar_(car)), thanks",
            &["https://en.wikipedia.org/wiki/Jaguar_(car)"],
        );
        check(
            "www.jaguar.travel, Jaguar.com!",
            &["www.jaguar.travel", "Jaguar.com"],
        );
        check(
            "at turkey-tours.com.tr/Istanbul?x=Mercury.",
            &["turkey-tours.com.tr/Istanbul?x=Mercury"],
        );
        check(
            "ftp://mirror.example/Rust node.js",
            &["ftp://mirror.example/Rust", "node.js"],
        );
    }

    #[test]
    fn a_sentence_that_begins_without_a_space_is_no_address() {
        for text in [
            "nice.Turkey",
            "It works.No, it.Is",
            "version 3.14",
            "e.g. Turkey",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn e_mail_addresses_and_handles_are_addresses() {
        check(
            "mail turkey.desk@jaguar.com, please",
            &["turkey.desk@jaguar.com"],
        );
        check(
            "@jaguar_fan and @apple.support.",
            &["jaguar_fan", "apple.support"],
        );
        check(
            "(@jaguar@example.social) you@home",
            &["jaguar@example.social"],
        );
        check("@\u{2066}jaguar\u{2069}'s", &["jaguar"]);
    }
}
