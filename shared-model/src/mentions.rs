//! Detection of mentions: the names of a knowledge base in a text.

use std::cmp::Reverse;
use std::ops::Range;

use crate::aliases::AliasIndex;
use crate::data::Mention;
use crate::pieces::{Piece, Pieces, key};

impl AliasIndex {
    /// The names in `text`, in its order. Of names that overlap the longest is taken, of equally long ones the first.
    ///
    /// A name begins and ends with a word; its possessive ending is no part of it.
    /// It does not extend over punctuation that ends a sentence or clause, nor over the end of a line, unless it has the same punctuation itself (`St. Louis`).
    /// A URL, an e-mail address or a handle can only be a name as a whole; a hashtag is read as words in camel case.
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
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::aliases::NameMatch;
    use crate::aliases::tests::index;
    use crate::data::{Entity, Post};

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
        check(&index, "i love turkey.it is big", &["turkey"]);
        check(
            &index,
            "Turkey.is nice, turkey.in spring",
            &["Turkey", "turkey"],
        );
        check(&index, "see turkey.de and turkey.io", &[]);
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
    fn the_mentions_of_the_demo_are_found() {
        fn lines<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
            file.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }
        #[derive(Deserialize)]
        struct Example {
            text: String,
            #[serde(flatten)]
            mention: Mention,
        }
        let entities: Vec<Entity> = lines(include_str!("../../assets/kb/entities.jsonl"));
        let index = AliasIndex::new(&entities);
        let rows: Vec<Post> = lines(include_str!("../../assets/kb/test.jsonl"));
        let examples: Vec<Example> = lines(include_str!("../../assets/kb/examples.jsonl"));
        let rows = rows.into_iter().map(|row| (row.text, row.mention.unwrap()));
        let examples = examples
            .into_iter()
            .map(|example| (example.text, example.mention));
        for (text, mention) in rows.chain(examples) {
            // A longer name may include the annotated one: `the Dolphins`.
            let found = index.mentions(&text);
            let is_found = found
                .iter()
                .any(|found| found.start <= mention.start && mention.end <= found.end);
            assert!(is_found, "{mention:?} in {text:?}");
        }
    }
}
