//! Names: from a surface to the entities that bear it, and from a text to the mentions in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::data::{Entity, Mention};
use crate::normalise::fold;
use crate::pieces::{Piece, Pieces, key};
use crate::similar::SimilarNames;

/// Least similarity of a name that counts as similar.
const SIMILAR: f64 = 0.88;
/// Longest name that is searched for in texts, in bytes of letters and digits.
const MAX_NAME_BYTES: usize = 200;

/// Which names make an entity a candidate for a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatch {
    /// Equal names: without regard to case and diacritics; where there are none, without regard to spaces, punctuation and a possessive ending either.
    Equal,
    /// Equal names; where there are none, similar ones.
    Similar,
}

/// An index of all names of a knowledge base. Entities are identified by their position in it.
#[derive(Debug, Clone)]
pub struct AliasIndex {
    /// Names by their letters and digits.
    names: HashMap<String, Vec<Name>>,
    similar: SimilarNames,
    /// Bytes of the longest key that is searched for in texts.
    longest: usize,
}

/// A name as it is written, and the entities that bear it.
#[derive(Debug, Clone)]
struct Name {
    text: String,
    folded: String,
    /// Where the name is split into words: bytes of the key, and the punctuation there.
    splits: Vec<(usize, String)>,
    entities: Vec<usize>,
}

impl AliasIndex {
    /// Indexes the names and aliases of `entities`.
    pub fn new(entities: &[Entity]) -> Self {
        let mut names: HashMap<String, Vec<Name>> = HashMap::new();
        let mut folded: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (position, entity) in entities.iter().enumerate() {
            for text in entity.names() {
                let pieces = Pieces::of(text);
                let known = names.entry(key(&pieces.pieces)).or_default();
                let name = match known.iter_mut().find(|name| name.text == text) {
                    Some(name) => name,
                    None => {
                        known.push(Name::new(text, &pieces.pieces));
                        known.last_mut().expect("just added")
                    }
                };
                add(&mut name.entities, position);
                if !name.folded.is_empty() {
                    add(folded.entry(name.folded.clone()).or_default(), position);
                }
            }
        }
        Self {
            longest: names
                .keys()
                .map(String::len)
                .max()
                .unwrap_or_default()
                .min(MAX_NAME_BYTES),
            names,
            similar: SimilarNames::new(folded.iter()),
        }
    }

    /// The entities whose names match `surface`: those with the very same name first, or the most similar first.
    pub fn candidates(&self, surface: &str, names: NameMatch) -> Vec<usize> {
        let pieces = Pieces::of(surface);
        let mut found = self.equal(surface, &key(&pieces.pieces));
        if let Some(end) = pieces.possessor().filter(|_| found.is_empty()) {
            let owner = &surface[..end];
            found = self.equal(owner, &key(&Pieces::of(owner).pieces));
        }
        if found.is_empty() && names == NameMatch::Similar {
            let ranked = self.similar.ranked(&fold(surface), SIMILAR, usize::MAX);
            found = ranked.into_iter().map(|(position, _)| position).collect();
        }
        found
    }

    /// The `n` entities with the most similar names, most similar first: the candidate policy `fuzzy-100`.
    pub fn nearest(&self, surface: &str, n: usize) -> Vec<usize> {
        let ranked = self.similar.ranked(&fold(surface), 0.0, n);
        ranked.into_iter().map(|(position, _)| position).collect()
    }

    /// The names in `text`, in its order. Of names that overlap the longest is taken, of equally long ones the first.
    ///
    /// A name begins and ends with a word; its possessive ending is no part of it.
    /// It does not extend over punctuation that ends a sentence or clause, nor over the end of a line, unless it has the same punctuation itself (`St. Louis`).
    /// Of a URL, an e-mail address or a handle only the whole is a name; a hashtag is read as words in camel case.
    pub fn mentions(&self, text: &str) -> Vec<Mention> {
        let Pieces { pieces, tags } = Pieces::of(text);
        let bytes =
            |found: &Range<usize>| pieces[found.start].range.start..pieces[found.end - 1].range.end;
        let mut found = self.spelled(&pieces);
        found.extend(
            tags.into_iter()
                .filter(|tag| self.names.contains_key(&key(&pieces[tag.clone()]))),
        );
        found.sort_by_key(|found| (Reverse(bytes(found).len()), found.start));

        let mut is_taken = vec![false; pieces.len()];
        found.retain(|found| {
            let is_free = !is_taken[found.clone()].contains(&true);
            if is_free {
                is_taken[found.clone()].fill(true);
            }
            is_free
        });
        found.sort_by_key(|found| found.start);
        let (mut byte, mut character) = (0, 0);
        let mut offset = |to: usize| {
            character += text[byte..to].chars().count();
            byte = to;
            character
        };
        found
            .iter()
            .map(bytes)
            .map(|span| Mention {
                start: offset(span.start),
                end: offset(span.end),
            })
            .collect()
    }

    /// The ranges of pieces that are written like a name.
    fn spelled(&self, pieces: &[Piece]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut letters = String::new();
        for (start, first) in pieces.iter().enumerate() {
            letters.clear();
            if !first.begins {
                continue;
            }
            for (end, piece) in (start + 1..).zip(&pieces[start..]) {
                letters.push_str(&piece.key);
                if letters.len() > self.longest {
                    break;
                }
                let names = self.names.get(&letters).filter(|_| piece.ends);
                if names.is_some_and(|names| {
                    names
                        .iter()
                        .any(|name| name.is_spelled(&pieces[start..end]))
                }) {
                    found.push(start..end);
                }
            }
        }
        found
    }

    fn equal(&self, surface: &str, key: &str) -> Vec<usize> {
        let names = self.names.get(key).map_or(&[][..], Vec::as_slice);
        let bearers = |is_wanted: &dyn Fn(&Name) -> bool| {
            let wanted = names.iter().filter(|name| is_wanted(name));
            let mut bearers: Vec<usize> = wanted.flat_map(|name| &name.entities).copied().collect();
            bearers.sort_unstable();
            bearers.dedup();
            bearers
        };
        let folded = fold(surface);
        let mut found = bearers(&|name| name.text == surface);
        if !key.is_empty() {
            for position in bearers(&|name| name.folded == folded) {
                add(&mut found, position);
            }
            if found.is_empty() {
                found = bearers(&|_| true);
            }
        }
        found
    }
}

impl Name {
    fn new(text: &str, pieces: &[Piece]) -> Self {
        let mut splits = Vec::new();
        let mut offset = 0;
        for (i, piece) in pieces.iter().enumerate() {
            if i > 0 && !piece.gap.is_optional {
                splits.push((offset, piece.gap.marks.clone()));
            }
            offset += piece.key.len();
        }
        Self {
            text: text.to_owned(),
            folded: fold(text),
            splits,
            entities: Vec::new(),
        }
    }

    /// Whether pieces with this name's letters are split into words as the name is, by no punctuation that it lacks.
    fn is_spelled(&self, pieces: &[Piece]) -> bool {
        let mut splits = self.splits.iter().peekable();
        let mut offset = 0;
        for (i, piece) in pieces.iter().enumerate() {
            let gap = &piece.gap;
            if i > 0 {
                match splits.next_if(|(split, _)| *split == offset) {
                    Some((_, marks)) if gap.marks.is_empty() || gap.marks == *marks => {}
                    None if gap.is_optional => {}
                    _ => return false,
                }
            }
            offset += piece.key.len();
        }
        splits.next().is_none()
    }
}

fn add(positions: &mut Vec<usize>, position: usize) {
    if !positions.contains(&position) {
        positions.push(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[&[&str]]) -> AliasIndex {
        let entities: Vec<Entity> = names
            .iter()
            .map(|names| Entity {
                id: names[0].to_owned(),
                name: names[0].to_owned(),
                aliases: names[1..].iter().map(|&name| name.to_owned()).collect(),
                description: String::new(),
            })
            .collect();
        AliasIndex::new(&entities)
    }

    #[track_caller]
    fn check(index: &AliasIndex, text: &str, expected: &[&str]) {
        let found: Vec<&str> = index
            .mentions(text)
            .iter()
            .map(|mention| mention.surface(text).unwrap())
            .collect();
        assert_eq!(found, expected, "in {text:?}");
    }

    #[test]
    fn names_are_found_on_word_boundaries() {
        let index = index(&[
            &["New York"],
            &["New York Times"],
            &["York"],
            &["Jaguar"],
            &["Œuvre", "Zürich"],
            &["中国"],
        ]);
        check(
            &index,
            "The New York Times of york",
            &["New York Times", "york"],
        );
        check(
            &index,
            "#Jaguar, @jaguar and jaguars",
            &["Jaguar", "jaguar"],
        );
        check(
            &index,
            "a new  york minute in ZURICH, Zu\u{308}rich",
            &["new  york", "ZURICH", "Zu\u{308}rich"],
        );
        check(&index, "🐆🐆 JAGUAR!", &["JAGUAR"]);
        check(&index, "我爱中国", &["中国"]);
        check(
            &index,
            "Ｊａｇｕａｒ _jaguar_ cat_jaguar",
            &["Ｊａｇｕａｒ", "jaguar"],
        );
        check(&index, "", &[]);
    }

    #[test]
    fn a_possessive_is_found() {
        let index = index(&[
            &["Turkey"],
            &["Jordan"],
            &["James"],
            &["Levi"],
            &["Levi's"],
            &["Opera"],
        ]);
        check(&index, "Turkey's coast", &["Turkey"]);
        check(
            &index,
            "in Jordan’s desert, JAMES' and James's",
            &["Jordan", "JAMES", "James"],
        );
        check(&index, "Levi's jeans, Levi’s", &["Levi's", "Levi’s"]);
        check(&index, "Operas, opera't, O'Levi", &[]);
        check(&index, "@jordan's and #Turkey’s", &["jordan", "Turkey"]);
    }

    #[test]
    fn a_name_beside_a_full_stop_without_a_space_is_found() {
        let index = index(&[&["Turkey"], &["US", "U.S."], &["Ann Lee"], &["G"], &["3"]]);
        check(&index, "so nice.Turkey is", &["Turkey"]);
        check(
            &index,
            "I love Turkey.It is big. turkey...Turkey",
            &["Turkey", "turkey", "Turkey"],
        );
        check(
            &index,
            "By Ann Lee.Turkey:Ann Lee",
            &["Ann Lee", "Turkey", "Ann Lee"],
        );
        check(&index, "e.g. 3.14, the U.S. and U.S.A.", &["U.S"]);
    }

    #[test]
    fn a_name_ends_where_a_clause_ends() {
        let index = index(&[&["Apple Tree"], &["Tree"], &["New York City"]]);
        for mark in [
            ". ",
            ", ",
            "; ",
            ": ",
            "! ",
            " (",
            "] ",
            "\n",
            " \r\n",
            "\u{2028}",
            "。",
            " — ",
            " - ",
            "... ",
            "?\u{200f} ",
        ] {
            check(
                &index,
                &format!("I ate an apple{mark}Tree house"),
                &["Tree"],
            );
            check(&index, &format!("new york{mark}city"), &[]);
        }
        for joint in [
            " ",
            "  ",
            "\t",
            "-",
            "\u{2011}",
            "\u{a0}",
            " \u{2067}",
            "/",
            "_",
        ] {
            check(
                &index,
                &format!("an apple{joint}tree."),
                &[&format!("apple{joint}tree")],
            );
        }
    }

    #[test]
    fn a_name_with_punctuation_is_found_as_it_is_written() {
        let index = index(&[
            &["St. Louis"],
            &["Washington, D.C."],
            &["AT&T"],
            &["Guns N' Roses"],
            &["Yahoo!"],
            &["O'Brien"],
            &["Panic! at the Disco"],
            &["Earth, Wind & Fire"],
            &["Booking.com"],
            &["Node.js"],
        ]);
        check(
            &index,
            "in St. Louis, St Louis. Washington, D.C., too",
            &["St. Louis", "St Louis", "Washington, D.C"],
        );
        check(
            &index,
            "AT&T and Guns N' Roses. Guns N’ Roses on Yahoo!",
            &["AT&T", "Guns N' Roses", "Guns N’ Roses", "Yahoo"],
        );
        check(
            &index,
            "O’Brien, O'Brien's, Panic! At The Disco",
            &["O’Brien", "O'Brien", "Panic! At The Disco"],
        );
        check(
            &index,
            "Earth, wind & fire; Earth Wind & Fire",
            &["Earth, wind & fire", "Earth Wind & Fire"],
        );
        check(
            &index,
            "Booking.com's Node.js, booking.com",
            &["Booking.com", "Node.js", "booking.com"],
        );
        check(&index, "St, Louis. Washington. D.C. At. T", &[]);
    }

    #[test]
    fn the_longest_of_overlapping_names_wins() {
        let taj = index(&[&["The Taj"], &["Taj Mahal Palace Hotel"], &["Mahal"]]);
        check(
            &taj,
            "at the Taj Mahal Palace Hotel",
            &["Taj Mahal Palace Hotel"],
        );
        check(
            &taj,
            "the Taj, the Taj Mahal",
            &["the Taj", "the Taj", "Mahal"],
        );
        let chain = index(&[&["A B C"], &["A"], &["C D E F"], &["F G"], &["G"]]);
        check(&chain, "a b c d e f g", &["a", "c d e f", "g"]);
        let equal = index(&[&["York Road"], &["Road Race"]]);
        check(&equal, "York Road Race", &["York Road"]);
    }

    #[test]
    fn invisible_characters_hide_no_name() {
        let index = index(&[
            &["Turkey"],
            &["New York"],
            &["Jos\u{200d}é"],
            &["Kaf\u{ad}ka"],
        ]);
        for text in [
            "\u{2067}Turkey\u{2069}",
            "\u{feff}Turkey",
            "Tur\u{ad}key",
            "Tur\u{200b}key",
            "T\u{200d}urk\u{2060}ey\u{fe0f}",
            "say\u{200b}Turkey\u{200b}now",
            "\u{200e}Turkey\u{200e}'s",
            "@\u{2068}turkey\u{2069}",
            "#Tur\u{200c}key",
            "nice\u{2069}.\u{2068}Turkey",
        ] {
            let mentions = index.mentions(text);
            assert_eq!(mentions.len(), 1, "{text:?}");
            let surface = mentions[0].surface(text).unwrap();
            assert!(
                surface.to_lowercase().starts_with('t') && surface.ends_with('y'),
                "{text:?}"
            );
            assert_eq!(index.candidates(surface, NameMatch::Equal), [0], "{text:?}");
        }
        check(
            &index,
            "New\u{200b}York, new \u{2067}york\u{2069}",
            &["New\u{200b}York", "new \u{2067}york"],
        );
        check(&index, "José, jose, Kafka", &["José", "jose", "Kafka"]);
        let offset = index.mentions("🐆\u{200d}\u{fe0f} é\u{301} in \u{2066}Turkey");
        assert_eq!(offset, [Mention { start: 11, end: 17 }]);
    }

    #[test]
    fn names_inside_addresses_are_no_mentions() {
        let index = index(&[&["Jaguar"], &["Apple"], &["Turkey"], &["Apple Support"]]);
        check(
            &index,
            "https://jaguar.com/turkey see www.apple.de: Turkey",
            &["Turkey"],
        );
        check(
            &index,
            "apple.com, turkey-tours.org and jaguar.co.uk/Apple",
            &[],
        );
        check(
            &index,
            "mail jaguar@apple.com or turkey.desk@example.org",
            &[],
        );
        check(
            &index,
            "@jaguar_fan @jaguar.fan @turkey@example.social @jaguar",
            &["jaguar"],
        );
        check(
            &index,
            "@applesupport, @JaguarUSA, @fan_jaguar",
            &["applesupport"],
        );
        check(&index, "you@turkey (@Apple)", &["turkey", "Apple"]);
    }

    #[test]
    fn names_in_a_hashtag_are_found() {
        let index = index(&[
            &["Turkey"],
            &["New York"],
            &["Rust"],
            &["U2"],
            &["USA"],
            &["中国"],
        ]);
        check(&index, "#VisitTurkey #TurkeyTrip", &["Turkey", "Turkey"]);
        check(
            &index,
            "#NewYork #newyork #New_York #INewYorkToo",
            &["NewYork", "newyork", "New_York", "NewYork"],
        );
        check(
            &index,
            "#ILoveRustLang #Turkey2024 #U2 #USATrip",
            &["Rust", "Turkey", "U2", "USA"],
        );
        check(&index, "#我爱中国 ＃Turkey", &["中国", "Turkey"]);
        check(&index, "#trusty #VisitTurkeys NewYork #New #York", &[]);
    }

    #[test]
    fn a_mention_has_candidates() {
        let index = index(&[
            &["New York"],
            &["O'Brien"],
            &["Washington, D.C."],
            &["Turkey"],
            &["中国"],
        ]);
        let texts = [
            "New York's #NewYork @newyork new-york New\u{200b}York",
            "O’Brien's o'brien Washington D.C. in washington, d.c.",
            "#VisitTurkey Tur\u{ad}key’s 中国 #爱中国",
        ];
        for text in texts {
            let mentions = index.mentions(text);
            assert!(mentions.len() >= 4, "{mentions:?}");
            for mention in mentions {
                let surface = mention.surface(text).unwrap();
                let equal = index.candidates(surface, NameMatch::Equal);
                assert_eq!(equal.len(), 1, "{surface:?}");
                assert_eq!(index.candidates(surface, NameMatch::Similar), equal);
            }
        }
    }

    #[test]
    fn a_name_after_a_long_hostile_run_is_found() {
        let index = index(&[
            &["a a a a a a a b"],
            &["a"],
            &["x".repeat(900).as_str()],
            &["T"],
        ]);
        for unit in [
            "a ",
            "a.",
            "a'",
            "Aa",
            "a\u{200b}",
            "a_",
            "@a ",
            "中",
            "\u{2066}",
            "\u{300}",
        ] {
            let n = 20_000 / unit.chars().count();
            let text = format!("#{} t", unit.repeat(n));
            let mentions = index.mentions(&text);
            assert_eq!(
                mentions.last().map(|last| last.end),
                Some(text.chars().count()),
                "{unit:?}"
            );
        }
    }

    #[test]
    fn the_very_same_name_comes_first_and_similar_ones_only_on_request() {
        let index = index(&[&["rust"], &["Rust"], &["Mercury"], &["RU'ST"], &["🐆"]]);
        let equal = |surface| index.candidates(surface, NameMatch::Equal);
        let similar = |surface| index.candidates(surface, NameMatch::Similar);
        assert_eq!(equal("Rust"), [1, 0]);
        assert_eq!(equal("RUST"), [0, 1]);
        assert_eq!(equal("Rust's"), [1, 0]);
        assert_eq!(equal("R.U.S.T."), [0, 1, 3]);
        assert_eq!(equal("🐆"), [4]);
        for (surface, expected) in [
            ("Mercuri", &[2][..]),
            ("Merkury", &[2]),
            ("Helicopter", &[]),
            ("?", &[]),
        ] {
            assert!(equal(surface).is_empty(), "{surface}");
            assert_eq!(similar(surface), expected, "{surface}");
        }
        assert_eq!(similar("rust"), equal("rust"));
        assert_eq!(index.nearest("Mercuri", 1), [2]);
    }
}
